"""Learn from users whose data stay theirs: differential privacy, devices, and how to check it."""

from graphmeta.privacy.accounting import Release, epsilon_of, noise_for
from graphmeta.privacy.device import Device, averaged
from graphmeta.privacy.membership import Attack, attack, most_found, user_losses
from graphmeta.privacy.open_users import open_users, part_users
from graphmeta.privacy.private_training import PrivateModel, PrivateTraining

__all__ = [
    "Attack",
    "Device",
    "PrivateModel",
    "PrivateTraining",
    "Release",
    "attack",
    "averaged",
    "epsilon_of",
    "most_found",
    "noise_for",
    "open_users",
    "part_users",
    "user_losses",
]
