"""The fault suite: a real mesh under load, faults by a seed, and a checker that reads all that was kept."""
