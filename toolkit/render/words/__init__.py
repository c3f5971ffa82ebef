"""Sentences and tables of words, made once: terminal, page and files draw them."""
