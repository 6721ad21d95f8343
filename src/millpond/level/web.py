"""What downloads have in common: optional packages, periods, and answers of web services."""

import json
from importlib import import_module

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from millpond.level.errors import LevelError

TIMEOUT_S = 60


def require(module: str):
    """A module of the extra `download`."""
    try:
        return import_module(module)
    except ImportError as error:
        raise LevelError(
            f"no package {error.name or module} found, but downloads need it. Install it with "
            '`pip install "millpond[download]"`.'
        ) from None


def period_of(first: str | pd.Timestamp, last: str | pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Two days in order."""
    try:
        first, last = (pd.Timestamp(day).normalize() for day in (first, last))
    except ValueError:
        raise LevelError(f"the period {first} to {last} found, days such as 2020-07-03 expected.") from None
    if not first <= last:
        raise LevelError(
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d} found, the first day before the last expected. Swap them."
        )
    return first, last


def get_text(url: str, parameters: dict) -> str:
    """What a service answers; after three more attempts if it is busy."""
    with requests.Session() as session:
        retry = Retry(3, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            answer = session.get(url, params=parameters, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except requests.HTTPError as error:
            told = f"{error.response.status_code} {error.response.reason}"
            raise LevelError(f"{url}: the answer {told} found, data expected. Try again later, or check it.") from None
        except requests.RequestException as error:
            raise LevelError(f"{url}: no answer ({type(error).__name__}), data expected. Check the network.") from None
    return answer.text


def get_json(url: str, parameters: dict, key: str):
    """The part of a JSON answer that stands under a key."""
    try:
        return json.loads(get_text(url, parameters))[key]
    except (ValueError, LookupError, TypeError):
        raise LevelError(f"{url}: no JSON with {key} found, data expected. Try again later.") from None
