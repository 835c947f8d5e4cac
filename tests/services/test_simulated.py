"""Notification, audit and order together in a simulation: their handlers survive each crash, and
whatever else befalls them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.audit import handlers as audit
from services.audit.handlers import Recorder
from services.audit.repository import AuditLog
from services.audit.verify import verify
from services.database import open_database
from services.notification import handlers as notification
from services.notification.handlers import Notifier
from services.notification.repository import NotificationRepository
from services.notification.sender import TemporaryFailure
from services.order import handlers as order
from services.order.repository import OrderRepository
from services.order.service import OrderService
from services.order.tables import metadata
from taskflow import Registry, RetryPolicy
from taskflow.clock import Clock
from taskflow.testing import Faults, Sim, chaos, crash_matrix
from tests.services.order.doubles import FakePayments
from tests.services.notification.test_message import ORDER
