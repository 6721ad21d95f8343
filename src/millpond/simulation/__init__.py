"""What simulated scenes share: spectra of surfaces, and the light that falls on them.

A simulation shows what follows from what was put in, and nothing else. What was put in is stated where it stands, and
called "built in" where its consequences are shown.
"""
