"""The generator of what must stay unknown: noise, and which users are heard."""

from __future__ import annotations

import secrets

import numpy as np
import torch

BITS = 256  # Of a seed from the system: too many to try them all.
# Where a CPU generator's state holds the 624 words of the Mersenne Twister, 8 bytes each.
FIRST_BYTE, N_WORDS = 24, 624


def secret_generator(seed: int | None = None) -> torch.Generator:
    """Return a generator that depends on all bits of its seed.

    `torch.Generator.manual_seed` keeps 32 bits, few enough to try each of them against a released
    model. Here a seed of any length is spread over the whole state.

    Args:
        seed: For the same numbers again, 0 or more; None takes 256 bits from the system.
    """
    entropy = secrets.randbits(BITS) if seed is None else seed
    words = np.random.SeedSequence(entropy).generate_state(N_WORDS).astype(np.uint64)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    state[FIRST_BYTE : FIRST_BYTE + 8 * N_WORDS] = torch.from_numpy(words.view(np.uint8))
    generator.set_state(state)
    return generator
