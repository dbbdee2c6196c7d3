"""The pages of the dashboard: chooses by role, lets staff leave, and nothing else."""

from pathlib import Path

import streamlit as st
from PIL import Image

from dashboard.identity import current_session, show_staff
from dashboard.pages import pages_for
from dashboard.site import current_site

HERE = Path(__file__).parent

site = current_site()
session = current_session(site)
role = session.role if session else None
pages = [
    st.Page(
        HERE / page.script,
        title=page.title,
        icon=page.icon or None,
        url_path=page.path,
        default=not page.path,
    )
    for page in pages_for(role)
]
st.set_page_config(
    page_title="Clips", page_icon=Image.new("RGB", (32, 32), (27, 95, 193)), layout="wide"
)
chosen = st.navigation(pages, position="hidden" if len(pages) == 1 else "sidebar")
if session is not None and len(pages) > 1:
    with st.sidebar:
        show_staff(site, session)
chosen.run()
