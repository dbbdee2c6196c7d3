"""What a visitor without a role sees."""

import streamlit as st

from dashboard.identity import offer_sign_out
from dashboard.provider import provider_claims, provider_is_set_up
from dashboard.site import current_site

claims = provider_claims(st.context.cookies)
if claims:
    st.title("You are not on the list of staff")
    st.text(f"Your organisation says that you are {claims.get('email') or 'without an e-mail'}.")
    st.write(
        "Whoever runs this server lists staff by verified e-mail addresses, and this is none of them. "
        "Ask them, or sign out and come back as somebody else."
    )
    offer_sign_out(current_site())
else:
    st.title("Nobody is signed in here")
    st.write(
        "Annotators: open the invitation link you were sent. It works once and for a limited time."
    )
    st.write("Staff: sign in.")
    if provider_is_set_up() and st.button("Sign in with your organisation"):
        st.login()
    st.link_button("Sign in with the operator secret", "/signin")
