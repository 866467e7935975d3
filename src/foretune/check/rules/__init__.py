"""The rules, by what they are about. A rule is in force by standing in a file of this folder."""
