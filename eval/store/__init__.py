"""The record store: one workspace folder with a database, media by content, series and reports."""
