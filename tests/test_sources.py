import gzip
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from toolkit import data, readers, sources

PARTS = ("train", "val", "test")


def test_available_says_what_each_data_set_is_and_needs():
    records = {record.name: record for record in data.available()}
    assert records["digits"].on_this_machine
    assert records["digits"].origin == "real"
    assert records["mnist1d"].origin == "synthetic"
    assert "dataset-fashion-mnist" in records["fashion-mnist"].needs


def test_missing_data_set_says_what_to_install(monkeypatch):
    for finder in ("_idx_folder", "speech_folder", "_vowels_folder", "_credit_index"):
        monkeypatch.setattr(sources, finder, lambda *name: None)
    monkeypatch.setattr(sources, "_installed", lambda package: False)
    missing = {record.name: record for record in data.available() if not record.on_this_machine}
    assert set(missing) == set(sources.SOURCES) - {"digits", "breast-cancer"}
    for name, wanted in {
        "fashion-mnist": "apt install dataset-fashion-mnist",
        "mnist1d": "pip install mnist1d",
        "names": "pip install Faker==40.63.0",
        "speech": "apt install asterisk-core-sounds-en-gsm .* and pip install soundfile",
        "japanese-vowels": "pip install --no-deps sktime==1.2.0, or put JapaneseVowels_TRAIN.ts",
        "credit": r"dpkg-deb -x r-cran-modeldata_\*.deb \. .* and pip install rdata",
    }.items():
        with pytest.raises(FileNotFoundError, match=f"'{name}' is not on this machine: .*{wanted}"):
            data.load(name)


def test_a_package_that_is_not_installed_is_not_imported_to_find_out():
    code = (
        "import sys; from toolkit import data; data.available(); sys.exit(' '.join(HEAVY & set(sys.modules)) or None)"
    )
    code = code.replace("HEAVY", "{'faker', 'soundfile', 'rdata', 'pandas', 'sktime', 'sklearn', 'mnist1d'}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def load_or_skip(name):
    source = sources.SOURCES[name]
    if not source.on_this_machine():
        pytest.skip(f"{name} is not on this machine: {source.needs}")
    return data.load(name)


def test_fashion_mnist_is_read_from_debians_package():
    dataset = load_or_skip("fashion-mnist")
    assert dataset.x_train.shape == (55000, 1, 28, 28)
    assert dataset.x_val.shape == (5000, 1, 28, 28)
    assert dataset.x_test.shape == (10000, 1, 28, 28)
    assert 0 <= dataset.x_train.min() < dataset.x_train.max() == 1
    assert dataset.class_names[9] == "boot"


# ---- IDX files -----------------------------------------------------------------------------------------------


def write_idx(path, values):
    header = struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape)
    raw = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_from_the_data_folder_are_read(tmp_path, monkeypatch, suffix):
    folder = tmp_path / "mnist"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 600), ("t10k", 100)):
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", generator.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    monkeypatch.setenv(data.DATA_FOLDER_VARIABLE, str(tmp_path))
    dataset = data.load("mnist")
    assert dataset.x_train.shape == (550, 1, 28, 28)
    assert dataset.x_test.shape == (100, 1, 28, 28)


# ---- Loans ---------------------------------------------------------------------------------------------------


def test_credit_is_a_standardised_table_with_readable_columns():
    dataset = load_or_skip("credit")
    assert (dataset.kind, dataset.origin, dataset.class_names) == ("table", "real", ("good", "bad"))
    assert [len(part) for part in (dataset.x_train, dataset.x_val, dataset.x_test)] == [2449, 668, 1337]
    assert len(dataset.feature_names) == dataset.input_shape[0] == 26
    assert {"income", "home = owner", "marital = married", "records = yes", "job = fixed"} < set(dataset.feature_names)
    assert "presumed real, its source says no more" in dataset.provenance
    everything = torch.cat([dataset.y_train, dataset.y_val, dataset.y_test])
    assert (int((everything == 1).sum()), len(everything)) == (1254, 4454)
    units = dataset.in_units(dataset.x_train)
    columns = {name: units[:, place] for place, name in enumerate(dataset.feature_names)}
    assert 18 <= columns["age"].min() < columns["age"].max() <= 68.01
    words = torch.stack([column for name, column in columns.items() if " = " in name])
    assert torch.allclose(words, words.round(), atol=1e-4), "0 or 1"
    assert sum(column for name, column in columns.items() if name.startswith("home = ")).max() < 1.01


def test_a_missing_number_is_the_median_of_the_training_part(monkeypatch):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(100, 3)), np.arange(100) % 2
    gone = generator.random(100) < 0.3
    x[:, 0] = np.arange(100)  # so that every example can be told from the others
    x[gone, 1] = np.nan
    monkeypatch.setitem(
        sources.SOURCES,
        "holes",
        sources.Source("holes", "table", "real", "", lambda: sources.Arrays(x, y, "made up"), lambda: True),
    )
    dataset = data.load("holes")
    train, test = (dataset.in_units(part) for part in (dataset.x_train, dataset.x_test))
    expected = np.nanmedian([x[int(row), 1] for row in train[:, 0].round()])
    for part in (train, test):
        filled = gone[part[:, 0].round().int().numpy()]
        assert 0 < filled.sum() < len(filled)
        np.testing.assert_allclose(part[filled, 1], expected, atol=1e-5)


# ---- Names ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names():
    return load_or_skip("names")


def test_names_are_one_hot_letters_of_fourteen_languages(names):
    assert (names.kind, names.origin, names.classes) == ("language", "real", 14)
    assert names.input_shape == (len(names.alphabet), sources.LONGEST_NAME)
    assert [len(part) for part in (names.x_train, names.x_val, names.x_test)] == [8792, 2398, 4796]
    assert "Faker 40.63.0" in names.provenance
    assert set(names.x_val.unique().tolist()) == {0, 1}
    shares = torch.bincount(names.y_test) / len(names.y_test)
    assert 0.16 < shares.max() < 0.18


def test_no_name_is_in_two_parts_or_two_classes(names):
    spelled = [data.spell(names, x) for part in (names.x_train, names.x_val, names.x_test) for x in part]
    assert len(set(spelled)) == len(spelled) == 15986


def test_a_typed_name_is_written_as_the_data_have_it(names):
    for x in names.x_test[:200]:
        spelled = data.spell(names, x)
        assert torch.equal(data.encode_name(names, spelled.upper()), x[None])
    assert data.spell(names, data.encode_name(names, "Zoë")[0]) == "zoë"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Ольга", "'Ольга' has what no name of 'names' has: а г л о ь; known are .*abc"),
        ("", "a name has 1 to 20 letters here, but '' has 0"),
        ("a" * 21, "a name has 1 to 20 letters here, but 'a{21}' has 21"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(names, name, message):
    with pytest.raises(ValueError, match=message):
        data.encode_name(names, name)


def test_digits_have_no_letters(digits):
    for ask in (lambda: data.spell(digits, digits.x_test[0]), lambda: data.encode_name(digits, "Anna")):
        with pytest.raises(ValueError, match=r"examples of 'digits' are not names and have no letters"):
            ask()


# ---- Speech --------------------------------------------------------------------------------------------------


def check_speech(dataset):
    """What holds of the real prompts and of a few made up."""
    assert (dataset.kind, dataset.classes, dataset.input_shape) == ("speech", 5, (24, 30))
    assert "the class is voice or language" in dataset.provenance
    parts = [set(part) for part in dataset.groups]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    voices = list(sources.VOICES)
    for part, prompts in zip(PARTS, dataset.groups, strict=True):
        labels = getattr(dataset, f"y_{part}").tolist()
        assert [voices.index(prompt.split("/")[0]) for prompt in prompts] == labels
        assert set(labels) == set(range(5))
    for index in (0, len(dataset.y_test) - 1):
        heard = data.recording(dataset, index)
        assert (heard.rate, heard.label) == (8000, int(dataset.y_test[index]))
        assert heard.title.startswith(dataset.class_names[heard.label] + ": ")
        assert heard.samples.dtype == np.float32
        assert np.abs(heard.samples).max() <= 1
        pictures = readers.log_mel(readers.windows(heard.samples, 4000, quietest=0.01))
        assert np.abs(pictures - dataset.x_test[index].numpy()).max((1, 2)).min() < 1e-4, "cut from this prompt"


def test_spoken_prompts_of_debian_are_split_by_prompt():
    dataset = load_or_skip("speech")
    check_speech(dataset)
    everything = torch.cat([dataset.y_train, dataset.y_val, dataset.y_test])
    assert torch.bincount(everything).tolist() == [sources.WINDOWS] * 5
    prompts = [prompt for part in dataset.groups for prompt in part]
    assert len(set(prompts)) > 900
    assert not any("/silence/" in prompt or prompt.endswith("/beep") for prompt in prompts)


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """Prompts made up of noise, in the folder for a user's own files."""
    soundfile = pytest.importorskip("soundfile", reason="pip install soundfile, which reads the prompts")
    generator = np.random.default_rng(0)
    for voice in sources.VOICES:
        folder = tmp_path / "speech" / voice
        (folder / "silence").mkdir(parents=True)
        for name in (*(f"prompt-{number}" for number in range(14)), "silence/1", "beep"):
            sound = generator.normal(0, 0.1, generator.integers(5000, 14000))
            soundfile.write(folder / f"{name}.gsm", sound, 8000, format="RAW", subtype="GSM610")
    monkeypatch.setenv(data.DATA_FOLDER_VARIABLE, str(tmp_path))
    return data.load("speech")


def test_prompts_in_the_data_folder_are_split_by_prompt(spoken):
    check_speech(spoken)
    prompts = {prompt for part in spoken.groups for prompt in part}
    assert len(prompts) == 5 * 14
    assert "it_IT_m_Carlo/prompt-3" in prompts


def test_data_split_by_group_are_not_split_again(spoken):
    with pytest.raises(ValueError, match=r"'speech' was split by groups .* keep the split that it has"):
        data.resplit(spoken, 1)


def test_a_recording_that_there_is_not_is_refused(spoken, digits, monkeypatch):
    with pytest.raises(ValueError, match=r"'digits' has no recordings; load\(\"speech\"\) has"):
        data.recording(digits, 0)
    for index in (-1, len(spoken.y_test)):
        with pytest.raises(ValueError, match=f"index must be a test example, 0 to [0-9]+, not {index}"):
            data.recording(spoken, index)
    monkeypatch.setattr(data, "speech_folder", lambda: None)
    with pytest.raises(FileNotFoundError, match="the prompts of 'speech' are not on this machine: apt install"):
        data.recording(spoken, 0)


def test_japanese_vowels_keep_their_own_test_part():
    dataset = load_or_skip("japanese-vowels")
    assert (dataset.kind, dataset.classes, dataset.input_shape) == ("speech", 9, (12, 29))
    assert [len(part) for part in (dataset.x_train, dataset.x_val, dataset.x_test)] == [230, 40, 370]
    assert torch.bincount(torch.cat([dataset.y_train, dataset.y_val])).tolist() == [30] * 9
    frames = (dataset.x_test != 0).any(1).sum(1)
    assert (int(frames.min()), int(frames.max())) == (7, 29)


def test_japanese_vowels_are_read_from_the_data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "japanese-vowels"
    folder.mkdir()
    for part, count in (("TRAIN", 24), ("TEST", 6)):
        lines = [f"{':'.join(','.join(['0.5'] * (2 + i % 5)) for _ in range(12))}:{1 + i % 2}" for i in range(count)]
        (folder / f"JapaneseVowels_{part}.ts").write_text("\n".join(["@data", *lines]), "utf-8")
    monkeypatch.setenv(data.DATA_FOLDER_VARIABLE, str(tmp_path))
    dataset = data.load("japanese-vowels")
    assert dataset.input_shape == (12, 6)
    assert len(dataset.x_test) == 6
    assert dataset.class_names == ("speaker 1", "speaker 2")
