"""What downloads have in common: optional packages, periods, and answers of web services."""

import json
from datetime import date
from importlib import import_module

import pandas as pd
import requests

from millpond.downloads import TIMEOUT_S, session
from millpond.level.errors import LevelError


def require(module: str):
    """A module of the extra `download`."""
    try:
        return import_module(module)
    except ImportError as error:
        raise LevelError(
            f"no package {error.name or module} found, but downloads need it. In the repository's folder, "
            '`pip install ".[download]"` installs it.'
        ) from None


def period_of(first: str | pd.Timestamp, last: str | pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Two days in order, as they are written: a zone is dropped."""
    try:
        for text in (day for day in (first, last) if isinstance(day, str)):
            date.fromisoformat(text.strip()[:10])  # pandas reads 2020 and 07/08/2020 too, as it likes
        days = [pd.Timestamp(day).tz_localize(None).normalize() for day in (first, last)]
    except (ValueError, TypeError, AttributeError):  # the last from NaT
        raise LevelError(f"the period {first} to {last} found, days such as 2020-07-03 expected.") from None
    if not days[0] <= days[1]:
        raise LevelError(
            f"{days[0]:%Y-%m-%d} to {days[1]:%Y-%m-%d} found, the first day before the last expected. Swap them."
        )
    return days[0], days[1]


def first_line(error: Exception) -> str:
    """What an error says, or else what it is."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def get_text(url: str, parameters: dict) -> str:
    """What a service answers, if need be to a later attempt."""
    with session() as http:
        try:
            answer = http.get(url, params=parameters, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except requests.HTTPError as error:
            told = f"{error.response.status_code} {error.response.reason}"
            raise LevelError(f"{url}: the answer {told} found, data expected. Try again later, or check it.") from None
        except requests.RequestException as error:
            told = f"none in {TIMEOUT_S} s" if isinstance(error, requests.Timeout) else "no connection"
            raise LevelError(f"{url}: no answer ({told}), data expected. Check the network.") from None
    return answer.text


def get_json(url: str, parameters: dict, key: str) -> dict:
    """A JSON answer, which must have a key."""
    text = get_text(url, parameters)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not (isinstance(answer, dict) and key in answer):
        raise LevelError(f"{url}: no JSON with {key} found, data expected. Try again later.")
    return answer
