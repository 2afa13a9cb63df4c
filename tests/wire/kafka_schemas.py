"""The layouts of the Kafka messages that the tests send, at the versions they send them.

name:type ...; types i8 i16 i32 i64 bool str nstr bytes uuid records, assignment (of a
heartbeat, or null), described (the same, with names) and tags (a struct ends within another); [..] is an array (of structs, or of one type),
?[..] a nullable one. Where "flexible" is set, strings and arrays are compact and structs end in tagged fields.
"""

KEYS = {
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9, "FindCoordinator": 10,
    "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14, "DescribeGroups": 15, "ListGroups": 16,
    "ApiVersions": 18, "CreateTopics": 19, "DeleteTopics": 20, "DeleteRecords": 21, "InitProducerId": 22,
    "OffsetForLeaderEpoch": 23, "DescribeConfigs": 32, "DescribeLogDirs": 35, "CreatePartitions": 37, "DeleteGroups": 42,
    "IncrementalAlterConfigs": 44, "OffsetDelete": 47, "DescribeCluster": 60, "ListConfigResources": 74, "DescribeTopicPartitions": 75,
    "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26, "WriteTxnMarkers": 27, "TxnOffsetCommit": 28,
    "DescribeProducers": 61, "DescribeTransactions": 65, "ListTransactions": 66,
    "ConsumerGroupHeartbeat": 68, "ConsumerGroupDescribe": 69, "ShareGroupHeartbeat": 76, "ShareFetch": 78, "ShareAcknowledge": 79,
}  # fmt: skip

# (api, version): (flexible, request, response)
SCHEMAS = {
    ("ApiVersions", 0): (False, "", "error:i16 apis:[key:i16 min:i16 max:i16]"),
    ("ApiVersions", 3): (True, "software:str release:str", "error:i16 apis:[key:i16 min:i16 max:i16] throttle:i32"),
    ("Metadata", 1): (
        False, "topics:?[str]",
        "brokers:[node:i32 host:str port:i32 rack:nstr] controller:i32"
        " topics:[error:i16 name:str internal:bool partitions:[error:i16 index:i32 leader:i32 replicas:[i32] isr:[i32]]]",
    ),
    ("Metadata", 12): (
        True, "topics:?[id:uuid name:nstr] create:bool authorized:bool",
        "throttle:i32 brokers:[node:i32 host:str port:i32 rack:nstr] cluster:nstr controller:i32"
        " topics:[error:i16 name:nstr id:uuid internal:bool partitions:[error:i16 index:i32 leader:i32 epoch:i32"
        " replicas:[i32] isr:[i32] offline:[i32]] operations:i32]",
    ),
    ("Produce", 7): (
        False, "transaction:nstr acks:i16 timeout:i32 topics:[name:str partitions:[index:i32 records:records]]",
        "topics:[name:str partitions:[index:i32 error:i16 offset:i64 time:i64 start:i64]] throttle:i32",
    ),
    ("Produce", 9): (
        True, "transaction:nstr acks:i16 timeout:i32 topics:[name:str partitions:[index:i32 records:records]]",
        "topics:[name:str partitions:[index:i32 error:i16 offset:i64 time:i64 start:i64"
        " record_errors:[index:i32 message:nstr] message:nstr]] throttle:i32",
    ),
    ("Produce", 12): (
        True, "transaction:nstr acks:i16 timeout:i32 topics:[name:str partitions:[index:i32 records:records]]",
        "topics:[name:str partitions:[index:i32 error:i16 offset:i64 time:i64 start:i64"
        " record_errors:[index:i32 message:nstr] message:nstr]] throttle:i32",
    ),
    ("AddPartitionsToTxn", 3): (
        True, "transaction:str producer:i64 epoch:i16 topics:[name:str partitions:[i32]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]",
    ),
    ("AddPartitionsToTxn", 4): (
        True, "transactions:[transaction:str producer:i64 epoch:i16 verify:bool topics:[name:str partitions:[i32]]]",
        "throttle:i32 error:i16 transactions:[transaction:str topics:[name:str partitions:[index:i32 error:i16]]]",
    ),
    ("AddOffsetsToTxn", 3): (True, "transaction:str producer:i64 epoch:i16 group:str", "throttle:i32 error:i16"),
    ("EndTxn", 1): (False, "transaction:str producer:i64 epoch:i16 commits:bool", "throttle:i32 error:i16"),
    ("EndTxn", 3): (True, "transaction:str producer:i64 epoch:i16 commits:bool", "throttle:i32 error:i16"),
    ("EndTxn", 5): (
        True, "transaction:str producer:i64 epoch:i16 commits:bool", "throttle:i32 error:i16 producer:i64 epoch:i16",
    ),
    ("WriteTxnMarkers", 1): (
        True, "markers:[producer:i64 epoch:i16 commits:bool topics:[name:str partitions:[i32]] coordinator:i32]",
        "markers:[producer:i64 topics:[name:str partitions:[index:i32 error:i16]]]",
    ),
    ("TxnOffsetCommit", 3): (
        True, "transaction:str group:str producer:i64 epoch:i16 generation:i32 member:str instance:nstr"
        " topics:[name:str partitions:[index:i32 offset:i64 leader_epoch:i32 metadata:nstr]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]",
    ),
    ("TxnOffsetCommit", 5): (
        True, "transaction:str group:str producer:i64 epoch:i16 generation:i32 member:str instance:nstr"
        " topics:[name:str partitions:[index:i32 offset:i64 leader_epoch:i32 metadata:nstr]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]",
    ),
    ("DescribeProducers", 0): (
        True, "topics:[name:str partitions:[i32]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16 message:nstr producers:[producer:i64 epoch:i32"
        " sequence:i32 time:i64 coordinator:i32 start:i64]]]",
    ),
    ("DescribeTransactions", 0): (
        True, "transactions:[str]",
        "throttle:i32 transactions:[error:i16 transaction:str state:str timeout:i32 start:i64 producer:i64 epoch:i16"
        " topics:[name:str partitions:[i32]]]",
    ),
    ("ListTransactions", 0): (
        True, "states:[str] producers:[i64]",
        "throttle:i32 error:i16 unknown:[str] transactions:[transaction:str producer:i64 state:str]",
    ),
    ("Fetch", 4): (
        False, "replica:i32 wait:i32 min:i32 max:i32 isolation:i8 topics:[name:str partitions:[index:i32 offset:i64 max:i32]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16 high:i64 stable:i64"
        " aborted:?[producer:i64 first:i64] records:records]]",
    ),
    ("Fetch", 11): (
        False,
        "replica:i32 wait:i32 min:i32 max:i32 isolation:i8 session:i32 epoch:i32"
        " topics:[name:str partitions:[index:i32 leader_epoch:i32 offset:i64 start:i64 max:i32]]"
        " forgotten:[name:str partitions:[i32]] rack:str",
        "throttle:i32 error:i16 session:i32 topics:[name:str partitions:[index:i32 error:i16 high:i64 stable:i64"
        " start:i64 aborted:?[producer:i64 first:i64] preferred:i32 records:records]]",
    ),
    ("ListOffsets", 5): (
        False, "replica:i32 isolation:i8 topics:[name:str partitions:[index:i32 epoch:i32 time:i64]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16 time:i64 offset:i64 epoch:i32]]",
    ),
    ("ListOffsets", 7): (
        True, "replica:i32 isolation:i8 topics:[name:str partitions:[index:i32 epoch:i32 time:i64]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16 time:i64 offset:i64 epoch:i32]]",
    ),
    ("OffsetForLeaderEpoch", 3): (
        False, "replica:i32 topics:[name:str partitions:[index:i32 current:i32 epoch:i32]]",
        "throttle:i32 topics:[name:str partitions:[error:i16 index:i32 epoch:i32 end:i64]]",
    ),
    ("DescribeLogDirs", 1): (
        False, "topics:?[name:str partitions:[i32]]",
        "throttle:i32 results:[error:i16 directory:str topics:[name:str partitions:[index:i32 size:i64 lag:i64 future:bool]]]",
    ),
    ("FindCoordinator", 2): (
        False, "key:str type:i8", "throttle:i32 error:i16 message:nstr node:i32 host:str port:i32",
    ),
    ("FindCoordinator", 4): (
        True, "type:i8 keys:[str]",
        "throttle:i32 coordinators:[key:str node:i32 host:str port:i32 error:i16 message:nstr]",
    ),
    ("JoinGroup", 2): (
        False, "group:str session:i32 rebalance:i32 member:str type:str protocols:[name:str data:bytes]",
        "throttle:i32 error:i16 generation:i32 protocol:str leader:str member:str members:[id:str data:bytes]",
    ),
    ("JoinGroup", 7): (
        True,
        "group:str session:i32 rebalance:i32 member:str instance:nstr type:str protocols:[name:str data:bytes]",
        "throttle:i32 error:i16 generation:i32 type:nstr protocol:nstr leader:str member:str"
        " members:[id:str instance:nstr data:bytes]",
    ),
    ("SyncGroup", 3): (
        False, "group:str generation:i32 member:str instance:nstr assignments:[id:str data:bytes]",
        "throttle:i32 error:i16 data:bytes",
    ),
    ("SyncGroup", 5): (
        True,
        "group:str generation:i32 member:str instance:nstr type:nstr protocol:nstr assignments:[id:str data:bytes]",
        "throttle:i32 error:i16 type:nstr protocol:nstr data:bytes",
    ),
    ("Heartbeat", 3): (False, "group:str generation:i32 member:str instance:nstr", "throttle:i32 error:i16"),
    ("LeaveGroup", 3): (
        False, "group:str members:[id:str instance:nstr]", "throttle:i32 error:i16 members:[id:str instance:nstr error:i16]",
    ),
    ("ConsumerGroupHeartbeat", 0): (
        True,
        "group:str member:str epoch:i32 instance:nstr rack:nstr rebalance:i32 names:?[str] assignor:nstr"
        " owned:?[id:uuid partitions:[i32]]",
        "throttle:i32 error:i16 text:nstr member:nstr epoch:i32 interval:i32 assigned:assignment",
    ),
    ("ConsumerGroupHeartbeat", 1): (
        True,
        "group:str member:str epoch:i32 instance:nstr rack:nstr rebalance:i32 names:?[str] regex:nstr assignor:nstr"
        " owned:?[id:uuid partitions:[i32]]",
        "throttle:i32 error:i16 text:nstr member:nstr epoch:i32 interval:i32 assigned:assignment",
    ),
    ("ConsumerGroupDescribe", 1): (
        True, "groups:[str] authorized:bool",
        "throttle:i32 groups:[error:i16 text:nstr group:str state:str epoch:i32 assignment:i32 assignor:str"
        " members:[member:str instance:nstr rack:nstr epoch:i32 client:str host:str names:[str] regex:nstr"
        " assigned:described target:described type:i8] operations:i32]",
    ),
    ("OffsetCommit", 7): (
        False,
        "group:str generation:i32 member:str instance:nstr"
        " topics:[name:str partitions:[index:i32 offset:i64 epoch:i32 metadata:nstr]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]",
    ),
    ("OffsetFetch", 5): (
        False, "group:str topics:?[name:str partitions:[i32]]",
        "throttle:i32 topics:[name:str partitions:[index:i32 offset:i64 epoch:i32 metadata:nstr error:i16]] error:i16",
    ),
    ("OffsetFetch", 8): (
        True, "groups:[group:str topics:?[name:str partitions:[i32]]] stable:bool",
        "throttle:i32 groups:[group:str topics:[name:str partitions:[index:i32 offset:i64 epoch:i32 metadata:nstr"
        " error:i16]] error:i16]",
    ),
    ("DescribeGroups", 4): (
        False, "groups:[str] authorized:bool",
        "throttle:i32 groups:[error:i16 group:str state:str type:str protocol:str"
        " members:[id:str instance:nstr client:str host:str data:bytes assignment:bytes] operations:i32]",
    ),
    ("ListGroups", 4): (True, "states:[str]", "throttle:i32 error:i16 groups:[group:str type:str state:str]"),
    ("DeleteGroups", 1): (False, "groups:[str]", "throttle:i32 results:[group:str error:i16]"),
    ("OffsetDelete", 0): (
        False, "group:str topics:[name:str partitions:[index:i32]]",
        "error:i16 throttle:i32 topics:[name:str partitions:[index:i32 error:i16]]",
    ),
    ("InitProducerId", 1): (False, "transaction:nstr timeout:i32", "throttle:i32 error:i16 producer:i64 epoch:i16"),
    ("InitProducerId", 3): (
        True, "transaction:nstr timeout:i32 producer:i64 epoch:i16", "throttle:i32 error:i16 producer:i64 epoch:i16",
    ),
    ("CreateTopics", 5): (
        True,
        "topics:[name:str partitions:i32 replication:i16 assignments:[index:i32 brokers:[i32]]"
        " configs:[name:str value:nstr]] timeout:i32 validate:bool",
        "throttle:i32 topics:[name:str error:i16 message:nstr partitions:i32 replication:i16"
        " configs:?[name:str value:nstr readonly:bool source:i8 sensitive:bool]]",
    ),
    ("DeleteTopics", 3): (False, "topics:[str] timeout:i32", "throttle:i32 topics:[name:str error:i16]"),
    ("CreatePartitions", 1): (
        False, "topics:[name:str count:i32 assignments:?[brokers:[i32]]] timeout:i32 validate:bool",
        "throttle:i32 topics:[name:str error:i16 message:nstr]",
    ),
    ("DeleteRecords", 1): (
        False, "topics:[name:str partitions:[index:i32 offset:i64]] timeout:i32",
        "throttle:i32 topics:[name:str partitions:[index:i32 low:i64 error:i16]]",
    ),
    ("DescribeConfigs", 3): (
        False, "resources:[type:i8 name:str keys:?[str]] synonyms:bool documentation:bool",
        "throttle:i32 results:[error:i16 message:nstr type:i8 name:str configs:[name:str value:nstr readonly:bool source:i8"
        " sensitive:bool synonyms:[name:str value:nstr source:i8] type:i8 documentation:nstr]]",
    ),
    ("IncrementalAlterConfigs", 0): (
        False, "resources:[type:i8 name:str configs:[name:str operation:i8 value:nstr]] validate:bool",
        "throttle:i32 results:[error:i16 message:nstr type:i8 name:str]",
    ),
    ("ListConfigResources", 0): (True, "", "throttle:i32 error:i16 resources:[name:str]"),
    ("ListConfigResources", 1): (True, "types:[i8]", "throttle:i32 error:i16 resources:[name:str type:i8]"),
    ("DescribeCluster", 0): (
        True, "authorized:bool",
        "throttle:i32 error:i16 message:nstr cluster:str controller:i32 brokers:[node:i32 host:str port:i32 rack:nstr]"
        " operations:i32",
    ),
    ("DescribeTopicPartitions", 0): (
        True, "topics:[name:str] limit:i32 cursor:nullstruct",
        "throttle:i32 topics:[error:i16 name:nstr id:uuid internal:bool partitions:[error:i16 index:i32 leader:i32"
        " epoch:i32 replicas:[i32] isr:[i32] eligible:?[i32] last_known:?[i32] offline:[i32]] operations:i32]"
        " cursor:nullstruct",
    ),
    ("ShareGroupHeartbeat", 1): (
        True, "group:str member:str epoch:i32 rack:nstr topics:?[str]",
        "throttle:i32 error:i16 message:nstr member:nstr epoch:i32 interval:i32 assigned:assignment",
    ),
    ("ShareFetch", 1): (
        True, "group:nstr member:nstr epoch:i32 wait:i32 min:i32 max:i32 records:i32 batch:i32 topics:[id:uuid"
        " partitions:[index:i32 acks:[first:i64 last:i64 types:[i8]]]] forgotten:[id:uuid partitions:[i32]]",
        "throttle:i32 error:i16 message:nstr lock:i32 topics:[id:uuid partitions:[index:i32 error:i16 message:nstr"
        " ack_error:i16 ack_message:nstr leader:i32 leader_epoch:i32 tags:tags records:records"
        " acquired:[first:i64 last:i64 deliveries:i16]]] nodes:[node:i32 host:str port:i32 rack:nstr]",
    ),
    ("ShareFetch", 2): (
        True, "group:nstr member:nstr epoch:i32 wait:i32 min:i32 max:i32 records:i32 batch:i32 mode:i8 renews:bool"
        " topics:[id:uuid partitions:[index:i32 acks:[first:i64 last:i64 types:[i8]]]]"
        " forgotten:[id:uuid partitions:[i32]]",
        "throttle:i32 error:i16 message:nstr lock:i32 topics:[id:uuid partitions:[index:i32 error:i16 message:nstr"
        " ack_error:i16 ack_message:nstr leader:i32 leader_epoch:i32 tags:tags records:records"
        " acquired:[first:i64 last:i64 deliveries:i16]]] nodes:[node:i32 host:str port:i32 rack:nstr]",
    ),
    ("ShareAcknowledge", 1): (
        True, "group:nstr member:nstr epoch:i32 topics:[id:uuid partitions:[index:i32 acks:[first:i64 last:i64"
        " types:[i8]]]]",
        "throttle:i32 error:i16 message:nstr topics:[id:uuid partitions:[index:i32 error:i16 message:nstr leader:i32"
        " leader_epoch:i32 tags:tags]] nodes:[node:i32 host:str port:i32 rack:nstr]",
    ),
    ("ShareAcknowledge", 2): (
        True, "group:nstr member:nstr epoch:i32 renews:bool topics:[id:uuid partitions:[index:i32 acks:[first:i64"
        " last:i64 types:[i8]]]]",
        "throttle:i32 error:i16 message:nstr lock:i32 topics:[id:uuid partitions:[index:i32 error:i16 message:nstr"
        " leader:i32 leader_epoch:i32 tags:tags]] nodes:[node:i32 host:str port:i32 rack:nstr]",
    ),
}  # fmt: skip
