"""What ``import toolkit`` offers beside the records: the verbs, with paths and names for arguments.

Each function finds what its arguments mean and calls one verb. Messages of errors name options as the command line
does: what they call ``--lr`` is ``lr`` here.
"""
