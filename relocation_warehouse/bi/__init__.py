"""What analysts and officials point at the published file: the SQL cookbook and the Superset dashboard.

Belongs here: code that reads the published warehouse as any user would. Does not belong here: building it.
"""
