"""Show one example: an image, or a signal as a line."""

import numpy as np
import streamlit as st

from app_support.soft_view import Example


def show(example: Example, alt: str) -> None:
    """Draw the example large, with what it is in words for those who cannot see it."""
    if example.x.ndim == 3:
        grey = np.clip(1 - example.x[0], 0, 1)  # dark ink on white
        enlarge = max(1, 320 // grey.shape[0])
        st.image(np.kron((255 * grey).astype(np.uint8), np.ones((enlarge, enlarge), np.uint8)), width=320, alt=alt)
        return
    import altair as alt_
    import pandas as pd

    signal = example.x[0]
    line = alt_.Chart(pd.DataFrame({"time": np.arange(len(signal)), "value": signal})).mark_line(strokeWidth=3)
    chart = line.encode(
        x=alt_.X("time:Q", title="Time", axis=alt_.Axis(grid=False, labelFontSize=16, titleFontSize=16)),
        y=alt_.Y("value:Q", title=None, axis=alt_.Axis(grid=False, labelFontSize=16)),
    )
    st.altair_chart(chart.properties(height=320), alt=alt)
