"""Bring Superset's own database up to date and set the administrator's password.

Runs in Superset's environment, in one process: starting Superset takes longer than what is done here.
"""

import os

from flask_migrate import upgrade
from superset.app import create_app

USERNAME = "admin"


def prepare() -> None:
    """Migrate, sync permissions, and create the administrator or reset the password."""
    with create_app().app_context():
        # these modules exist only once there is an application
        import superset
        from superset.extensions import appbuilder, db, security_manager

        upgrade(directory=os.path.join(os.path.dirname(superset.__file__), "migrations"))
        appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        password = os.environ["SUPERSET_ADMIN_PASSWORD"]
        user = security_manager.find_user(USERNAME)
        if user:
            security_manager.reset_password(user.id, password)
        else:
            role = security_manager.find_role("Admin")
            security_manager.add_user(USERNAME, "Local", "Administrator", "admin@localhost", role, password)
        db.session.commit()


if __name__ == "__main__":
    prepare()
