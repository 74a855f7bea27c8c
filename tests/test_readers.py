import bz2
import gzip
import lzma
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import readers

# ---- IDX files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08", b"\x1f\x8bnot gzip", b"\x00\x00\x08\x01\x00\x00\x00\x09abc", b"GIF89a.."]
)
def test_damaged_idx_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not a whole IDX file"):
        readers.read_idx(path)


# ---- R's lazy-load files -------------------------------------------------------------------------------------

R_NEEDS = "pip install rdata, which reads R's files"


def xz_of_r(raw):
    return b"Z" + lzma.compress(raw, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])


@pytest.mark.parametrize("pack", [zlib.compress, xz_of_r, lambda raw: b"2" + bz2.compress(raw), lambda raw: b"0" + raw])
def test_an_r_table_is_read_however_it_is_packed(tmp_path, pack):
    pandas = pytest.importorskip("pandas", reason=R_NEEDS)
    rdata = pytest.importorskip("rdata", reason=R_NEEDS)
    table = pandas.DataFrame({"Age": [30.0, 41.5], "Home": pandas.Categorical(["rent", "owner"])})
    content = tmp_path / "content.rds"
    rdata.write_rds(content, table, compression=None)
    packed = b"\0\0\0\1" + pack(content.read_bytes())
    (tmp_path / "Rdata.rdb").write_bytes(b"before" + packed + b"behind")
    rdata.write_rds(tmp_path / "Rdata.rdx", {"variables": {"loans": np.array([6, len(packed)], np.int32)}})
    read = readers.read_r_table(tmp_path / "Rdata.rdx", "loans")
    assert read["Age"].tolist() == [30.0, 41.5]
    assert read["Home"].tolist() == ["rent", "owner"]
    with pytest.raises(ValueError, match=r"Rdata.rdx does not lead to a whole R table 'houses'"):
        readers.read_r_table(tmp_path / "Rdata.rdx", "houses")
    (tmp_path / "Rdata.rdb").write_bytes(b"before" + packed[:40])
    with pytest.raises(ValueError, match=r"Rdata.rdx does not lead to a whole R table 'loans'"):
        readers.read_r_table(tmp_path / "Rdata.rdx", "loans")


def test_a_damaged_r_index_is_refused_by_name(tmp_path):
    pytest.importorskip("rdata", reason=R_NEEDS)
    (tmp_path / "Rdata.rdx").write_bytes(gzip.compress(b"no R at all"))
    with pytest.raises(ValueError, match=r"Rdata.rdx does not lead to a whole R table"):
        readers.read_r_table(tmp_path / "Rdata.rdx", "loans")


def test_columns_of_words_become_one_column_for_each_word():
    pandas = pytest.importorskip("pandas", reason=R_NEEDS)
    table = pandas.DataFrame(
        {
            "Income": pandas.array([100, None, 300], dtype="Int32"),
            "Home": pandas.Categorical(["rent", None, "owner"], categories=["owner", "priv", "rent"]),
        }
    )
    x, names = readers.table_columns(table)
    assert names == ("income", "home = owner", "home = priv", "home = rent")
    np.testing.assert_array_equal(x, [[100, 0, 0, 1], [np.nan, 0, 0, 0], [300, 1, 0, 0]])


# ---- Names ---------------------------------------------------------------------------------------------------


@given(st.lists(st.text("abcé -", max_size=6)))
def test_a_one_hot_name_can_be_read_back(names):
    x = readers.one_hot(names, "abcé -", 6)
    assert x.shape == (len(names), 6, 6)
    assert ["".join("abcé -"[row] for row in one.argmax(0)[one.any(0)]) for one in x] == names
    assert set(np.unique(x)) <= {0.0, 1.0}
    assert (x.sum(1) <= 1).all(), "one letter at a place"


def test_accents_are_one_character_each():
    assert readers.plain_name("Zoe\N{COMBINING DIAERESIS} ") == "zoë"
    assert readers.plain_name("İBRAHİM") == "ibrahim"


def test_names_that_several_locales_have_are_left_out():
    pytest.importorskip("faker", reason="pip install Faker==40.63.0, which has the names")
    german, swedish = readers.read_names(["de_DE", "sv_SE"])
    assert not set(german) & set(swedish)
    assert "anna" not in german + swedish
    assert "ackermann" in german
    assert "björklund" in swedish, "names with frequencies (a dictionary) are read too"
    assert german == sorted(set(german))


# ---- Speech --------------------------------------------------------------------------------------------------


def test_a_recording_is_cut_into_windows_and_silence_is_dropped():
    loud = np.full(4, 0.5, np.float32)
    samples = np.concatenate([loud, 0 * loud, -loud, 0.01 * loud, loud[:3]])
    found = readers.windows(samples, 4, quietest=0.01)
    np.testing.assert_array_equal(found, [loud, -loud])
    assert readers.windows(samples[:3], 4, quietest=0.01).shape == (0, 4)


def test_mel_filters_share_out_every_frequency_between_their_ends():
    filters = readers.mel_filters(24, 256, 8000)
    assert filters.shape == (24, 129)
    assert (filters >= 0).all()
    assert (filters.max(1) > 0.3).all(), "no band is empty"
    hertz = np.arange(129) * 31.25
    peaks = hertz[filters.argmax(1)]
    between = (hertz >= peaks[0]) & (hertz <= peaks[-1])
    between[: filters[0].argmax() + 1] = False  # the first centre may lie a little above its nearest frequency
    between[filters[-1].argmax() :] = False
    np.testing.assert_allclose(filters.sum(0)[between], 1)


def test_log_mel_follows_its_formula():
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 700)).astype(np.float32)
    found = readers.log_mel(sound, bands=5, frame=256, hop=128)
    filters = readers.mel_filters(5, 256, 8000)
    k = np.arange(256)
    for window in range(2):
        expected = np.zeros((5, 4))
        for t in range(4):
            piece = sound[window, 128 * t : 128 * t + 256].astype(float) * (0.5 - 0.5 * np.cos(2 * math.pi * k / 255))
            spectrum = [abs((piece * np.exp(-2j * math.pi * f * k / 256)).sum()) ** 2 for f in range(129)]
            expected[:, t] = np.log10(filters @ spectrum + 1e-6)
        np.testing.assert_allclose(found[window], expected - expected.mean(), atol=1e-4)


def test_a_louder_window_has_the_same_picture():
    sound = np.random.default_rng(1).normal(0, 0.1, (3, 4000)).astype(np.float32)
    found = readers.log_mel(sound)
    assert found.shape == (3, 24, 30)
    assert found.dtype == np.float32
    np.testing.assert_allclose(readers.log_mel(4 * sound), found, atol=1e-3)


@pytest.mark.parametrize("hertz", [300, 1000, 2500])
def test_a_tone_lights_up_the_band_that_holds_it(hertz):
    tone = np.sin(2 * math.pi * hertz * np.arange(4000) / 8000).astype(np.float32)[None]
    filters = readers.mel_filters(24, 256, 8000)
    assert (readers.log_mel(tone)[0].argmax(0) == filters[:, round(hertz / 31.25)].argmax()).all()


def test_gsm_is_read_as_it_was_spoken(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="pip install soundfile, which reads GSM")
    tone = 0.4 * np.sin(2 * math.pi * 440 * np.arange(8000) / 8000)
    soundfile.write(tmp_path / "a.gsm", tone, 8000, format="RAW", subtype="GSM610")
    samples = readers.read_gsm(tmp_path / "a.gsm")
    assert samples.dtype == np.float32
    assert samples.shape == (8000,)
    assert np.corrcoef(samples[1000:], tone[1000:])[0, 1] > 0.95, "the code loses a little"


def test_a_voice_without_prompts_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"it_IT_m_Carlo holds no spoken prompt \(.gsm\) of half a second"):
        readers.read_prompts(tmp_path, "it_IT_m_Carlo", 10)


# ---- Series of unequal length --------------------------------------------------------------------------------

TS = "# a comment\n@problemName two\n@classLabel true 1 2\n@data\n1,2,3:4,5,6:1\n\n7,8:9,10:2\n"


def test_series_of_unequal_length_are_read_and_padded(tmp_path):
    path = tmp_path / "two.ts"
    path.write_text(TS, "utf-8")
    series, labels = readers.read_ts(path)
    assert labels == ["1", "2"]
    np.testing.assert_array_equal(
        readers.padded(series, 4), [[[1, 2, 3, 0], [4, 5, 6, 0]], [[7, 8, 0, 0], [9, 10, 0, 0]]]
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2:3:1", "line 9, is not a series"),
        ("1,x:3,4:1", "line 9, is not a series"),
        ("1,2:1", "line 9, is not a series .* 1 channels, the first series has 2"),
        ("1", "line 9, is not a series"),
    ],
)
def test_a_broken_line_of_a_series_is_refused_with_its_number(tmp_path, line, message):
    path = tmp_path / "broken.ts"
    path.write_text(f"{TS}\n{line}\n", "utf-8")
    with pytest.raises(ValueError, match=message):
        readers.read_ts(path)


def test_a_file_without_series_is_refused(tmp_path):
    path = tmp_path / "empty.ts"
    path.write_text("@data\n", "utf-8")
    with pytest.raises(ValueError, match=r"empty.ts holds no series"):
        readers.read_ts(path)
