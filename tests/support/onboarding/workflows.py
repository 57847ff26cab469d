"""Declare the workflow."""

from tests.support.onboarding.queue import (
    CREATE_USER_PROFILE,
    SEND_PROFILE_CREATED,
    SEND_WELCOME_EMAIL,
    User,
)

from jobs_core.queues.notifications import ALERT_ADMIN, AlertAdmin
from jobs_producer import Workflow, step, workflow


@workflow("user-onboarding")
def user_onboarding(user: User) -> Workflow:
    """Welcome a user, create the profile, and tell of that, or of its failure."""
    return Workflow(
        "User Onboarding",
        id="user-onboarding-workflow",
        metadata={"created_by": "system", "correlation_id": "workflow-123"},
        tags=["onboarding", "user"],
        steps=[
            step(
                SEND_WELCOME_EMAIL,
                user,
                on_success=[
                    step(
                        CREATE_USER_PROFILE,
                        user,
                        on_success=[step(SEND_PROFILE_CREATED, user)],
                        on_failure=[
                            step(
                                ALERT_ADMIN,
                                AlertAdmin(error="profile-creation-failed", user_id=user.user_id),
                            )
                        ],
                    )
                ],
            )
        ],
    )


@workflow("welcome")
def welcome(user: User) -> Workflow:
    """Welcome a user: one workflow for each job that runs it."""
    made = Workflow("Welcome")
    made.add("mail", SEND_WELCOME_EMAIL, user)
    return made
