"""What people do, one module per subject: the pages and manage.py both call these and nothing else.

Each action takes whose things are meant and who acts, is one transaction with its record in the audit
log, and raises `Refused` with a sentence for the user where nothing was changed.
"""
