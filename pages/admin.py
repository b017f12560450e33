"""Admin: accounts, health, the server's switch, the audit log and backups; nothing for anybody else."""

from ui.admin import page
from ui.session import signed_in_user

page.draw(signed_in_user())
