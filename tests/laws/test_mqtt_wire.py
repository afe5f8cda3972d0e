"""Laws of the MQTT codec that hold for all input."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actors.wire.mqtt import client, encode
from actors.wire.mqtt.answers import Acknowledgement, AnswerReader, Connack, ServerDisconnect, Suback
from actors.wire.mqtt.cursor import MalformedError
from actors.wire.mqtt.dialect import dialect_of
from actors.wire.mqtt.packets import (
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Puback,
    Publish,
    Pubrel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from actors.wire.mqtt.properties import ConnackProperties, Properties
from actors.wire.mqtt.reader import PacketReader
from actors.wire.mqtt.topics import is_valid_filter, is_valid_name, matches

LIMIT = 4096

names = st.text(alphabet="ab$/é", min_size=1, max_size=12)
filters = st.lists(st.sampled_from(["a", "b", "+", "", "$a"]), min_size=1, max_size=4).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"])])
)
ids = st.integers(1, 65_535)
publishes = st.builds(
    lambda topic, payload, qos, packet_id, retain: encode.publish(
        topic, payload, qos=qos, packet_id=packet_id, retain=retain
    ),
    names,
    st.binary(max_size=200),
    st.integers(0, 2),
    ids,
    st.booleans(),
)
packets = st.one_of(
    publishes,
    publishes,
    ids.map(lambda packet_id: encode.pubacks([packet_id])),
    st.builds(
        encode.subscribe,
        ids,
        st.lists(st.tuples(filters.filter(bool), st.integers(0, 2)), min_size=1, max_size=4),
    ),
    st.builds(encode.unsubscribe, ids, st.lists(filters.filter(bool), min_size=1, max_size=4)),
    st.sampled_from([encode.PINGREQ, encode.DISCONNECT]),
)
connects = st.builds(
    lambda client_id, username, password, level: encode.connect(
        client_id, username=username, password=password, level=level
    ),
    st.text(alphabet="abcé", max_size=30),
    st.text(alphabet="abc/", max_size=30),
    st.binary(max_size=30),
    st.sampled_from([3, 4]),
)
conversations = st.builds(lambda connect, rest: b"".join([connect, *rest]), connects, st.lists(packets, max_size=8))


def read(pieces: list[bytes]) -> list[Packet]:
    reader = PacketReader(LIMIT)
    return [packet for piece in pieces for packet in reader.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(borders)]


@given(conversations)
def test_valid_conversations_are_read_without_complaint(data: bytes) -> None:
    """What our own encoder writes is never malformed."""
    assert not [packet for packet in read([data]) if isinstance(packet, Malformed)]


@given(conversations, st.lists(st.integers(0, 5000), max_size=10))
def test_where_the_network_cuts_makes_no_difference(data: bytes, places: list[int]) -> None:
    """Packets fed in any pieces, single bytes among them, are the packets fed whole."""
    whole = read([data])
    assert read(cut(data, places)) == whole
    assert read([bytes((byte,)) for byte in data]) == whole


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    """Noise yields packets or Malformed as the last one, however it is cut."""
    packets = read(pieces)
    assert packets == read([b"".join(pieces)])
    assert not [packet for packet in packets[:-1] if isinstance(packet, Malformed)]


@given(st.sampled_from([0x10, 0x82, 0xA2, 0x32, 0x34, 0x40, 0x62]), st.binary(max_size=100), st.booleans())
def test_arbitrary_bodies_never_raise(first: int, body: bytes, connect: bool) -> None:  # noqa: FBT001
    """A well-formed header with noise behind it yields one packet or Malformed."""
    if connect:
        body = b"\x00\x04MQTT\x04" + body
    assert len(read([bytes((first, len(body))) + body])) == 1


@given(conversations, st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_conversations_never_raise(data: bytes, changes: list[tuple[int, int]]) -> None:
    """Flipped bytes yield other packets or Malformed; what came before the first one stays as it was."""
    mutated = bytearray(data)
    for place, value in changes:
        mutated[place % len(data)] = value
    first = min(place % len(data) for place, _ in changes)
    before = read([data[:first]])
    assert read([bytes(mutated)])[: len(before)] == before


@given(names, st.binary(max_size=3000), st.integers(0, 1), ids, st.booleans())
def test_publish_is_read_as_it_was_written(
    topic: str,
    payload: bytes,
    qos: int,
    packet_id: int,
    retain: bool,  # noqa: FBT001
) -> None:
    """Encoding and reading a PUBLISH are inverse, the first time and from the topic cache."""
    data = encode.publish(topic, payload, qos=qos, packet_id=packet_id, retain=retain)
    expected = Publish(topic, payload, qos, packet_id if qos else 0, retain, dup=False)
    assert read([data + data]) == [expected, expected]


def slow_matches(wanted: list[str], levels: list[str]) -> bool:
    if not wanted:
        return not levels
    if wanted[0] == "#":
        return True
    return bool(levels) and wanted[0] in ("+", levels[0]) and slow_matches(wanted[1:], levels[1:])


@given(filters, names)
def test_matching_is_what_the_standard_says_level_by_level(topic_filter: str, name: str) -> None:
    """The fast matcher agrees with the definition, `$` names kept out of leading wildcards [MQTT-4.7.2-1]."""
    if not is_valid_filter(topic_filter) or not is_valid_name(name):
        return
    hidden = name.startswith("$") and topic_filter[0] in "+#"
    expected = not hidden and slow_matches(topic_filter.split("/"), name.split("/"))
    assert matches(topic_filter, name) == expected


# --- MQTT 5 -----------------------------------------------------------------------------------------------------------

strings = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
users = st.lists(st.tuples(strings, strings), max_size=4).map(tuple)
seconds = st.integers(0, 0xFFFF_FFFF)
topics = names.map(lambda name: name + "\ufeff")
messages = st.builds(
    Properties,
    payload_format=st.none() | st.integers(0, 1),
    message_expiry=st.none() | seconds,
    topic_alias=st.none(),
    response_topic=st.none() | topics,
    correlation_data=st.none() | st.binary(max_size=200),
    content_type=st.none() | strings,
    user=users,
    subscription_ids=st.just(()),
)
wills = st.builds(Will, topics, st.binary(max_size=50), st.integers(0, 2), st.booleans(), seconds, messages)
packets_of_5 = st.one_of(
    st.builds(
        Connect,
        level=st.just(5),
        client_id=strings,
        clean_start=st.booleans(),
        keep_alive=st.integers(0, 0xFFFF),
        username=st.none() | strings,
        password=st.none() | st.binary(max_size=50),
        will=st.none() | wills,
        session_expiry=seconds,
        receive_maximum=st.integers(1, 0xFFFF),
        max_packet_bytes=st.none() | st.integers(1, 268_435_455),
        topic_alias_maximum=st.integers(0, 0xFFFF),
        request_response_information=st.booleans(),
        request_problem_information=st.booleans(),
        user=users,
        authentication_method=strings,
        authentication_data=st.none() | st.binary(max_size=50),
    ),
    st.builds(
        lambda topic, payload, qos, packet_id, retain, properties, alias: Publish(
            topic,
            payload,
            qos,
            packet_id if qos else 0,
            retain,
            dup=False,
            properties=properties._replace(topic_alias=alias),
        ),
        topics,
        st.binary(max_size=300),
        st.integers(0, 2),
        ids,
        st.booleans(),
        messages,
        st.none() | st.integers(1, 0xFFFF),
    ),
    st.builds(Puback, ids, st.sampled_from([0, 0x10, 0x80, 0x97])),
    st.builds(Pubrel, ids, st.sampled_from([0, 0x92])),
    st.builds(
        Subscribe,
        ids,
        st.lists(
            st.builds(
                Subscription, filters.filter(bool), st.integers(0, 2), st.booleans(), st.booleans(), st.integers(0, 2)
            ),
            min_size=1,
            max_size=4,
        ).map(tuple),
        st.none() | st.integers(1, 268_435_455),
        users,
    ),
    st.builds(Unsubscribe, ids, st.lists(filters.filter(bool), min_size=1, max_size=4).map(tuple), users),
    st.builds(Disconnect, st.sampled_from([0, 4, 0x81]), st.none() | seconds, st.none() | strings, users),
)


def read5(pieces: list[bytes]) -> list[Packet]:
    reader = PacketReader(64 * 1024, level=5)
    return [packet for piece in pieces for packet in reader.feed(piece)]


@given(st.lists(packets_of_5, max_size=6), st.lists(st.integers(0, 5000), max_size=10))
def test_packets_of_mqtt_5_are_read_as_they_were_written(sent: list[Packet], places: list[int]) -> None:
    """Writing and reading are inverse for every packet and property, in whatever pieces, and again from the caches."""
    data = b"".join(map(client.write, sent))
    assert read5(cut(data, places)) == sent
    assert read5([data, data]) == sent + sent


@given(
    st.sampled_from([0x10, 0x30, 0x32, 0x34, 0x40, 0x62, 0x82, 0xA2, 0xE0, 0xF0]),
    st.binary(max_size=100),
    st.booleans(),
)
def test_arbitrary_bodies_of_mqtt_5_never_raise(first: int, body: bytes, connect: bool) -> None:  # noqa: FBT001
    """A well-formed header with noise behind it yields one packet or Malformed, whole and byte by byte."""
    if connect:
        body = (b"\x00\x04MQTT\x05" + body)[:100]
    data = bytes((first, len(body))) + body
    packets = read5([data])
    assert len(packets) == 1
    assert read5([bytes((byte,)) for byte in data]) == packets


@given(ids, st.sampled_from([0x10, 0x80, 0x97]), strings, st.integers(10, 60), st.booleans())
def test_answers_fit_and_are_read_as_they_were_meant(
    packet_id: int,
    reason: int,
    text: str,
    limit: int,
    wanted: bool,  # noqa: FBT001
) -> None:
    """Whatever text explains it, an answer is no larger than the client takes, and says the reason."""
    dialect = dialect_of(5, problem_information=wanted, max_packet_bytes=limit)
    sent = (
        dialect.puback(packet_id, reason, text),
        dialect.suback(packet_id, [0x80], text),
        dialect.disconnect(0x97, text),
        dialect.connack(0x97, properties=ConnackProperties(reason_string=text)),
    )
    assert max(map(len, sent)) <= limit
    read = AnswerReader().feed(b"".join(sent))
    kinds = [Acknowledgement, Suback, ServerDisconnect, Connack]
    assert [type(answer) for answer in read] == kinds
    assert read[0][1:3] == (packet_id, reason)
    assert read[0][3] in (None, text)


@given(st.lists(st.binary(max_size=80), max_size=6), st.sampled_from([3, 4, 5]))
def test_clients_take_noise_as_malformed(pieces: list[bytes], level: int) -> None:
    """Noise from a server yields answers or MalformedError, nothing else."""
    reader = AnswerReader(level)
    try:
        for piece in pieces:
            reader.feed(piece)
    except MalformedError:
        pass
