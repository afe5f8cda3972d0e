"""What all sessions together have done since the start: plain numbers, raised where it happens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Monotonic counts; each is the field `mqtt_<name>_total` of a metrics page."""

    accepted: int = 0
    refused_full: int = 0
    evicted: int = 0
    accept_failures: int = 0
    accept_pauses: int = 0
    refused_address: int = 0
    refused_handshakes: int = 0
    connected: int = 0
    refused_connects: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    published: int = 0
    acknowledged: int = 0
    records: int = 0
    rejected_payloads: int = 0
    dropped_no_right: int = 0
    dropped_no_rule: int = 0
    dropped_no_topic: int = 0
    dropped_by_condition: int = 0
    failed_conditions: int = 0
    delivered: int = 0
    dropped_deliveries_qos0: int = 0
    dropped_deliveries_queue: int = 0
    dropped_deliveries_expired: int = 0
    dropped_deliveries_too_large: int = 0
    dropped_deliveries_no_right: int = 0
    slow_subscribers: int = 0
    refused_retained: int = 0
    pauses: int = 0
    held_disconnects: int = 0
    takeovers: int = 0
    keep_alive_expired: int = 0
    protocol_errors: int = 0
    failed_appends: int = 0
    refused_reports: int = 0
    refused_disconnects: int = 0
    wills: int = 0
    expired_sessions: int = 0
    lifecycle_events: int = 0
    dropped_lifecycle_events: int = 0
    crashes: int = 0
