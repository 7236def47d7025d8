"""Extraction by many processes on many machines, by Ray: `avcil-extract run --ray`.

    driver (lock, quarantine, records)  --shards to make-->  workers (encoders, decoding processes of their own)
                                        <--sealed shards--

`schedule`   which worker makes which shard, and what is done about those that die; knows no Ray
`worker`     encodes shards and writes them beside their names
`nodes`      what each machine offers, and whether it sees the same files
`session`    Ray itself: started here, or reached at an address
`crew`       the workers: started, replaced, listened to
`driving`    the loop that hands out shards and commits what comes back
`run`        from a configuration to the same `Setup` and `Tally` as without Ray

Ray's library is imported when a session begins, and by nothing that can do without.
"""
