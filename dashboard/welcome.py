"""What a visitor without a role sees."""

import streamlit as st

from dashboard.identity import provider_is_set_up

st.title("Nobody is signed in here")
st.write(
    "Annotators: open the invitation link you were sent. It works once and for a limited time."
)
st.write("Staff: sign in.")
if provider_is_set_up() and st.button("Sign in with your organisation"):
    st.login()
st.link_button("Sign in with the operator secret", "/signin")
