"""Declare the jobs of the onboarding, in queues that are there already."""

import msgspec

from jobs_core.queues.data_processing import DATA_PROCESSING
from jobs_core.queues.email import EMAIL


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it is about."""

    user_id: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that was created."""

    profile: str


SEND_WELCOME_EMAIL = EMAIL.job("send-welcome-email", payload=User, result=bool)
SEND_PROFILE_CREATED = EMAIL.job("send-profile-created", payload=User, result=bool)
CREATE_USER_PROFILE = DATA_PROCESSING.job("create-user-profile", payload=User, result=Profile, attempts=1)
