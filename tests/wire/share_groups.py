"""The layouts of the requests of share groups' members and administrators, beside kafka_schemas."""

from . import kafka

KEYS = {
    "ShareGroupHeartbeat": 76, "ShareGroupDescribe": 77, "DescribeShareGroupOffsets": 90, "AlterShareGroupOffsets": 91,
    "DeleteShareGroupOffsets": 92, "InitializeShareGroupState": 83, "ReadShareGroupState": 84, "WriteShareGroupState": 85,
    "ReadShareGroupStateSummary": 87,
}  # fmt: skip
SCHEMAS = {
    ("ShareGroupHeartbeat", 1): (
        "group:str member:str epoch:i32 rack:nstr topics:?[str]",
        "throttle:i32 error:i16 message:nstr member:nstr epoch:i32 interval:i32 assigned:assignment",
    ),
    ("ShareGroupDescribe", 1): (
        "groups:[str] authorized:bool",
        "throttle:i32 groups:[error:i16 message:nstr group:str state:str epoch:i32 assignment:i32 assignor:str"
        " members:[member:str rack:nstr epoch:i32 client:str host:str topics:[str] assigned:described] operations:i32]",
    ),
    ("DescribeShareGroupOffsets", 1): (
        "groups:[group:str topics:?[name:str partitions:[i32]]]",
        "throttle:i32 groups:[group:str topics:[name:str id:uuid partitions:[index:i32 start:i64 leader:i32 lag:i64"
        " error:i16 message:nstr]] error:i16 message:nstr]",
    ),
    ("AlterShareGroupOffsets", 0): (
        "group:str topics:[name:str partitions:[index:i32 start:i64]]",
        "throttle:i32 error:i16 message:nstr topics:[name:str id:uuid partitions:[index:i32 error:i16 message:nstr]]",
    ),
    ("DeleteShareGroupOffsets", 0): (
        "group:str topics:[name:str]", "throttle:i32 error:i16 message:nstr topics:[name:str id:uuid error:i16 message:nstr]",
    ),
    ("InitializeShareGroupState", 0): (
        "group:str topics:[id:uuid partitions:[index:i32 epoch:i32 start:i64]]",
        "topics:[id:uuid partitions:[index:i32 error:i16 message:nstr]]",
    ),
    ("ReadShareGroupState", 0): (
        "group:str topics:[id:uuid partitions:[index:i32 leader:i32]]",
        "topics:[id:uuid partitions:[index:i32 error:i16 message:nstr epoch:i32 start:i64"
        " batches:[first:i64 last:i64 state:i8 count:i16]]]",
    ),
    ("WriteShareGroupState", 1): (
        "group:str topics:[id:uuid partitions:[index:i32 epoch:i32 leader:i32 start:i64 complete:i32"
        " batches:[first:i64 last:i64 state:i8 count:i16]]]",
        "topics:[id:uuid partitions:[index:i32 error:i16 message:nstr]]",
    ),
    ("ReadShareGroupStateSummary", 1): (
        "group:str topics:[id:uuid partitions:[index:i32 leader:i32]]",
        "topics:[id:uuid partitions:[index:i32 error:i16 message:nstr epoch:i32 leader:i32 start:i64 complete:i32]]",
    ),
}  # fmt: skip

kafka.KEYS.update(KEYS)
for key, (asked, told) in SCHEMAS.items():
    kafka.LAYOUTS.setdefault(key, (True, kafka.parse(asked), kafka.parse(told)))
