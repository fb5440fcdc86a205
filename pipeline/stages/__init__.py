"""Verbs: each calls rules and ports, prints nothing, and knows no other stage."""
