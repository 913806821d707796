"""Which numbers are prime: the second program of the 2009 proposal (Brian Quinlan, stdlib-sig), in
the two forms of the draft it points to, `run_to_results` and `map`; on threads.
"""

import functools
import math

import manyhands as futures

PRIMES = [
    112272535095293,
    112582705942171,
    112272535095293,
    115280095190773,
    115797848077099,
    1099726899285419,
]


def is_prime(n: int) -> bool:
    if n % 2 == 0:
        return False

    sqrt_n = int(math.floor(math.sqrt(n)))
    for i in range(3, sqrt_n + 1, 2):
        if n % i == 0:
            return False
    return True


with futures.ThreadPoolExecutor(max_threads=5) as executor:
    calls = [functools.partial(is_prime, number) for number in PRIMES]
    for number, prime in zip(PRIMES, executor.run_to_results(calls)):
        print("%d is prime: %s" % (number, prime))

    for number, prime in zip(PRIMES, executor.map(is_prime, PRIMES)):
        print("%d is prime: %s" % (number, prime))
