"""Conditions of the network: sound, words, people in the picture, and what happens when."""
