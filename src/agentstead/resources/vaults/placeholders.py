"""What stands for a secret in a sandbox: cannot be guessed, and looks enough like it that tools take it.

Only how long a secret is, roughly, and a beginning that everybody knows of its kind can be seen in it.
"""

import secrets
import string

LETTERS = string.ascii_letters + string.digits
RANDOM_MIN = 24
"""Characters, of 62 each: more than 140 bits."""
LENGTHS = (32, 40, 48, 64, 96, 128)
KNOWN = (
    "sk-ant-", "sk-proj-", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_", "sk-",
    "github_pat_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "glpat-", "xoxb-", "xoxp-", "xapp-", "npm_",
    "pypi-", "hf_", "shpat_", "lin_api_", "ntn_", "secret_", "sntrys_", "sntryu_", "dop_v1_", "SG.",
)  # fmt: skip
"""Beginnings that say whose key it is and nothing else."""


def placeholder_for(secret: str) -> str:
    """A new one."""
    known = next((beginning for beginning in KNOWN if secret.startswith(beginning)), "ph_")
    longest = max(len(secret), len(known) + RANDOM_MIN)
    length = next((one for one in LENGTHS if one >= longest), LENGTHS[-1])
    return known + "".join(secrets.choice(LETTERS) for _ in range(length - len(known)))
