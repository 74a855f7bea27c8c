"""The least that can be called an app of Streamlit, one slider and one chart: what the app's first page is measured against."""

import streamlit as st

power = st.slider("Power", 1, 5, 2)
bars = [{"x": x, "y": x**power} for x in range(1, 11)]
st.vega_lite_chart(
    {
        "data": {"values": bars},
        "mark": "bar",
        "encoding": {"x": {"field": "x", "type": "ordinal"}, "y": {"field": "y", "type": "quantitative"}},
    },
    alt="Bars that grow faster the higher the power",
)
