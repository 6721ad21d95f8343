"""How much water a small reservoir holds, from its terrain and its surface."""
