"""Policies: agents that play episodes."""

from searchenv.policies.base import Policy
from searchenv.policies.chance import RandomPolicy
from searchenv.policies.human import HumanPolicy
from searchenv.policies.named import POLICIES, get_policy
from searchenv.policies.oracle import OraclePolicy
from searchenv.policies.rules import IterativePolicy, OneShotPolicy
from searchenv.policies.scripted import ScriptedPolicy

__all__ = [
    "POLICIES",
    "HumanPolicy",
    "IterativePolicy",
    "OneShotPolicy",
    "OraclePolicy",
    "Policy",
    "RandomPolicy",
    "ScriptedPolicy",
    "get_policy",
]
