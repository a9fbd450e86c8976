"""A reader of qlogs that shares nothing with their writer: RFC 7464, what the drafts require of each event, and what qvis
asks of a file. A Log is one connection seen from one side."""

import json

from harness import check

RS = "\x1e"

# Event -> (name that qvis knows, name in the latest draft); by the part behind the colon of the former.
NAMES = {
    "connection_started": ("connectivity", "quic:connection_started"),
    "connection_closed": ("connectivity", "quic:connection_closed"),
    "connection_state_updated": ("connectivity", "quic:connection_state_updated"),
    "connection_id_updated": ("connectivity", "quic:connection_id_updated"),
    "path_assigned": ("connectivity", "quic:tuple_assigned"),
    "mtu_updated": ("connectivity", "quic:mtu_updated"),
    "migration_state_updated": ("connectivity", "quic:migration_state_updated"),
    "version_information": ("transport", "quic:version_information"),
    "alpn_information": ("transport", "quic:alpn_information"),
    "parameters_set": ("transport", "quic:parameters_set"),
    "packet_sent": ("transport", "quic:packet_sent"),
    "packet_received": ("transport", "quic:packet_received"),
    "packet_dropped": ("transport", "quic:packet_dropped"),
    "packet_buffered": ("transport", "quic:packet_buffered"),
    "key_updated": ("security", "quic:key_updated"),
    "key_discarded": ("security", "quic:key_discarded"),
    "recovery_parameters_set": ("recovery", "quic:recovery_parameters_set"),
    "metrics_updated": ("recovery", "quic:recovery_metrics_updated"),
    "congestion_state_updated": ("recovery", "quic:congestion_state_updated"),
    "loss_timer_updated": ("recovery", "quic:timer_updated"),
    "packet_lost": ("recovery", "quic:packet_lost"),
    "ecn_state_updated": ("recovery", "quic:ecn_state_updated"),
}
PACKET_TYPES = {"initial", "handshake", "0RTT", "1RTT", "retry", "version_negotiation", "stateless_reset", "unknown"}
MIGRATION_STATES = {"probing_started", "probing_abandoned", "probing_successful", "migration_started",
                    "migration_abandoned", "migration_complete"}
CONNECTION_STATES = {"attempted", "peer_validated", "handshake_started", "early_write", "handshake_complete",
                     "handshake_confirmed", "closing", "draining", "closed"}
KEY_TYPES = {f"{side}_{level}_secret" for side in ("client", "server") for level in ("initial", "handshake", "1rtt")}

# Members that each frame must have beside frame_type.
FRAMES = {
    "padding": set(), "ping": set(), "ack": {"acked_ranges", "ack_delay"},
    "reset_stream": {"stream_id", "error", "final_size"}, "stop_sending": {"stream_id", "error"},
    "crypto": {"offset", "raw"}, "new_token": {"token"}, "stream": {"stream_id", "offset", "raw"},
    "max_data": {"maximum"}, "max_stream_data": {"stream_id", "maximum"}, "max_streams": {"stream_type", "maximum"},
    "data_blocked": {"limit"}, "stream_data_blocked": {"stream_id", "limit"},
    "streams_blocked": {"stream_type", "limit"},
    "new_connection_id": {"sequence_number", "retire_prior_to", "connection_id"},
    "retire_connection_id": {"sequence_number"}, "path_challenge": {"data"}, "path_response": {"data"},
    "connection_close": {"error_space", "error", "reason"}, "handshake_done": set(),
    "immediate_ack": set(),
    "ack_frequency": {"sequence_number", "ack_eliciting_threshold", "requested_max_ack_delay", "reordering_threshold"},
}

# Members that "data" must have, by event; {id}, {local}, {remote} and {initiator} are the dialect's.
REQUIRED = {
    "connection_id_updated": {"{initiator}", "old", "new"}, "connection_state_updated": {"new"},
    "path_assigned": {"{id}", "{local}", "{remote}"}, "mtu_updated": {"new"},
    "migration_state_updated": {"new", "{id}", "{local}", "{remote}"}, "version_information": {"chosen_version"},
    "alpn_information": {"chosen_alpn"}, "parameters_set": {"{initiator}", "initial_max_data"},
    "packet_sent": {"header", "raw", "frames"}, "packet_received": {"header", "raw"},
    "packet_dropped": {"header", "raw", "trigger", "details"}, "packet_buffered": {"header", "trigger"},
    "key_updated": {"key_type"}, "key_discarded": {"key_type"}, "recovery_parameters_set": {"timer_granularity"},
    "metrics_updated": set(), "congestion_state_updated": {"new"}, "loss_timer_updated": {"event_type"},
    "packet_lost": {"header"}, "ecn_state_updated": {"new"}, "connection_closed": {"{initiator}", "trigger"},
    "connection_started": set(),
}
QVIS = {"path": "path", "id": "path_id", "local": "path_local", "remote": "path_remote", "initiator": "owner"}
LATEST = {"path": "tuple", "id": "tuple_id", "local": "tuple_local", "remote": "tuple_remote", "initiator": "initiator"}


class Event:
    def __init__(self, record, kind, path):
        self.time, self.name, self.data = record["time"], record["name"], record["data"]
        self.kind = kind  # as in NAMES, or "roam:..."
        self.path = path  # as a text, None where it is about none

    def frames(self, kind):
        return [frame for frame in self.data.get("frames", []) if frame["frame_type"] == kind]


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    check(len(keys) == len(set(keys)), f"a key comes twice: {keys}")
    return dict(pairs)


def parse_sequence(text):
    """RFC 7464 section 2.2, strictly: each text begins with RS and ends with a line feed."""
    check(text.startswith(RS) and text.endswith("\n"), "not a JSON text sequence")
    records = text[1:].split(RS)
    for record in records:
        check(record.endswith("\n") and record.count("\n") == 1, f"a record is not one line: {record[:80]!r}")
    return [json.loads(record, object_pairs_hook=no_duplicates) for record in records]


class Log:
    def __init__(self, path):
        self.path = path
        records = parse_sequence(path.read_text(encoding="utf-8"))
        self.header = records[0]
        self.latest = "quic-13" in self.header["trace"]["event_schemas"][0]
        self.words = LATEST if self.latest else QVIS
        self.check_header()
        self.events = [self.event(record) for record in records[1:]]
        self.check_for_qvis()

    def check_header(self):
        header, trace = self.header, self.header["trace"]
        check(header["file_schema"] == "urn:ietf:params:qlog:file:sequential", "file_schema")
        check(header["serialization_format"] == "application/qlog+json-seq", "serialization_format")
        check(trace["vantage_point"]["type"] in ("client", "server"), "vantage_point")
        common = trace["common_fields"]
        check(common["time_format"] == "relative_to_epoch" and common["reference_time"]["epoch"] == "unknown" and
              common["reference_time"]["clock_type"] == "monotonic", "time")
        name = self.path.stem
        check(name.split("_")[0] == common["group_id"] and trace["vantage_point"]["type"] in name, "the file's name")

    def check_for_qvis(self):
        """What qvis's loader of text sequences and of version 0.3 asks for."""
        check(self.path.suffix == ".sqlog", "qvis knows JSON text sequences by their name's end")
        check(self.header["qlog_version"] in ("draft-02", "0.3") and self.header["qlog_format"] == "JSON-SEQ" and
              "trace" in self.header, "qvis does not know this version")
        last = 0
        for event in self.events:
            check(event.time >= last, f"time runs backwards at {event.name}")
            last = event.time
            check("packet_type" not in event.data and "packet_size" not in event.data.get("header", {}), "draft-01")
            if event.kind in ("packet_sent", "packet_received"):
                check(event.data["raw"]["length"] > 0, "a packet without raw.length")
            for frame in event.frames("stream") + event.frames("crypto"):
                check(frame["length"] == frame["raw"]["payload_length"] if "raw" in frame else True, "frame.length")
            for frame in event.frames("ack"):
                for low, high in frame.get("acked_ranges", []):
                    check(low <= high, "acked_ranges")

    def kind_of(self, name):
        if name.startswith("roam:"):
            return name
        for kind, (category, latest) in NAMES.items():
            old = "parameters_set" if kind == "recovery_parameters_set" else kind
            if name == (latest if self.latest else f"{category}:{old}"):
                return kind
        check(False, f"'{name}' is no event of the draft")
        return None

    def event(self, record):
        check({"time", "name", "data"} <= set(record) and isinstance(record["time"], (int, float)), f"{record}")
        check(set(record) <= {"time", "name", "data", self.words["path"]}, f"{sorted(record)}")
        kind = self.kind_of(record["name"])
        event = Event(record, kind, record.get(self.words["path"]))
        if kind.startswith("roam:"):
            return event
        required = {field.format(**self.words) for field in REQUIRED[kind]}
        check(required <= set(event.data), f"{kind} lacks {required - set(event.data)}")
        self.check_values(event)
        return event

    def check_values(self, event):
        data = event.data
        if "header" in data:
            check(data["header"]["packet_type"] in PACKET_TYPES, f"packet_type {data['header']}")
        if event.kind == "migration_state_updated":
            check({data["new"], data.get("old", data["new"])} <= MIGRATION_STATES, f"{data}")
        if event.kind == "connection_state_updated":
            check({data["new"], data.get("old", data["new"])} <= CONNECTION_STATES, f"{data}")
        if event.kind in ("key_updated", "key_discarded"):
            check(data["key_type"] in KEY_TYPES and not {"old", "new", "key"} & set(data), f"{data}")
        if event.kind != "packet_lost":
            for frame in data.get("frames", []):
                wanted = FRAMES.get(frame["frame_type"])
                check(wanted is not None and wanted <= set(frame), f"frame {frame}")
                check("stateless_reset_token" not in frame, "a reset token")

    # ---- Questions

    def all(self, kind):
        return [event for event in self.events if event.kind == kind]

    def packets(self, kind):
        """Number -> event, of the 1-RTT packets."""
        return {event.data["header"]["packet_number"]: event for event in self.all(kind)
                if event.data["header"]["packet_type"] == "1RTT"}

    def path_address(self, path, side):
        """(ip, port) of the newest path_assigned."""
        info = [event.data[self.words[side]] for event in self.all("path_assigned")
                if event.data[self.words["id"]] == path][-1]
        return (info.get("ip_v4", info.get("ip_v6")), info.get("port_v4", info.get("port_v6")))


def only_log(directory, role):
    found = sorted(directory.glob(f"*_{role}*.sqlog"))
    check(len(found) == 1, f"{len(found)} logs of a {role} in {directory}")
    return Log(found[0])


def compare_sides(client, server):
    """Both sides tell of the same packets: what one received the other had sent, with the same frames."""
    for sender, receiver in ((client, server), (server, client)):
        sent, received = sender.packets("packet_sent"), receiver.packets("packet_received")
        check(len(received) > 10, f"only {len(received)} packets were received")
        for number, event in received.items():
            check(number in sent, f"packet {number} was received and never sent")
            check(event.data["frames"] == sent[number].data["frames"], f"packet {number} has two contents")
            check(event.data["header"]["dcid"] == sent[number].data["header"]["dcid"], f"packet {number} has two CIDs")


def challenges(log, kind, frame):
    """[(data, path, dcid)] of PATH_CHALLENGE or PATH_RESPONSE frames sent or received."""
    return [(found["data"], event.path, event.data["header"]["dcid"]) for event in log.all(kind)
            for found in event.frames(frame)]


def check_validations(log):
    """Events of validation and the frames in packets are the same, one for one."""
    for name, kind, frame in (("challenged", "packet_sent", "path_challenge"),
                              ("challenge_received", "packet_received", "path_challenge"),
                              ("responded", "packet_sent", "path_response")):
        told = sorted((event.data["data"], event.path) for event in log.all(f"roam:path_{name}"))
        # What still comes to a socket that the client has left is on no path, and is not answered.
        seen = sorted((data, path) for data, path, _ in challenges(log, kind, frame) if path is not None)
        check(told == seen, f"roam:path_{name} and the frames differ: {told} {seen}")
    for event in log.all("packet_sent"):
        #= rfc9000#8.2.1-2 At most one PATH_CHALLENGE per packet.
        check(len(list(event.frames("path_challenge"))) <= 1, "more than one PATH_CHALLENGE in a packet")
    asked = {event.data["data"] for event in log.all("roam:path_challenged")}
    answered = [event.data["data"] for event in log.all("roam:path_answered")]
    check(set(answered) <= asked and len(answered) == len(set(answered)), "an answer to no challenge, or twice")


def check_order(log, path, steps):
    """The steps come in this order, each on this path."""
    events = [event for event in log.events if event.path == path]
    at = 0
    for step in steps:
        found = [i for i in range(at, len(events)) if step(events[i])]
        check(found, f"step {steps.index(step)} does not come on path {path}, after {events[at - 1].name}")
        at = found[0] + 1


def is_event(name):
    return lambda event: event.kind == name


def is_state(state):
    return lambda event: event.kind == "migration_state_updated" and event.data["new"] == state


def has_frame(kind, frame):
    return lambda event: event.kind == kind and event.frames(frame)
