"""Turns schema/redis/*.schema into redis_commands.h and redis_commands.c: the command table, its perfect hash, and the
data of COMMAND INFO and COMMAND DOCS.

    redis.py OUT.h OUT.c FILE.schema...

A command:

    command LPUSH arity=-3 group=list since=1.0.0 flags=write,denyoom,fast
        summary "Puts elements at the head of a list"
        complexity "O(1) for each element"
        keys index=1 range=0:1:0 flags=RW,INSERT
        arg key key spec=0
        arg element string multiple

`arity` counts the name; negative = at least. `group` also gives the ACL category, flags give theirs (write, readonly,
fast or slow, admin, dangerous, blocking, pubsub); `acl=` adds more. `keys` lines are the key specifications: where they
begin (`index=N` or `keyword=WORD:FROM`) and how they go on (`range=LASTKEY:STEP:LIMIT` or `keynum=IDX:FIRST:STEP`, both
relative to the beginning), with flags RW RO OW RM, ACCESS UPDATE INSERT DELETE, not_key, incomplete, variable_flags.
`arg NAME TYPE [optional] [multiple] [multiple_token]` takes token=, since=, spec=, deprecated=, display=; oneof and block
have `arg` children. A container (CONFIG) has `command` children. deprecated=VERSION replaced_by="..." doc_flags=,
tips=a,b are optional. The handler of CONFIG GET is redis_cmd_config_get; handler=NAME gives another.
"""
