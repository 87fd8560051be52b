// Package ingest holds the doors that samples come in by: Prometheus remote
// write 1.0 and 2.0 and the InfluxDB line protocol, over HTTP. A door decodes
// and checks what a client sent, hands it to a storage batch, and turns the
// batch's receipt into the answer of its protocol.
//
//	request ─▶ negotiate ─▶ body (limits, snappy, gzip) ─▶ walk ─▶ alias hashes ─▶ known? ─▶ batch ─▶ commit ─▶ answer
//	                                                                                 │ no
//	                                                                                 └─▶ parse, check, sort, resolve
//
// A series that the server knows is never parsed: the bytes that name it are
// hashed (its alias) and the hash is looked up. Only when that fails are the
// labels taken apart. What an alias is made of:
//
//	remote write 1   the contiguous run of label sub-messages of a TimeSeries, as sent
//	remote write 2   the sequence of the hashes of the symbols its label refs name
//	Influx           the bytes "measurement,tagset" and the bytes of the field's key
//
// and, in its seed: the protocol, the tenant, the generation of the
// configuration and the parameters of the request that change labels (db). The
// seed differs from process to process.
//
// A request is taken partly where a part of it is bad: the good samples are
// stored, the answer is 400 and says how many were refused and why. A message
// that cannot be decoded stores nothing. Nothing a client sends makes a door
// panic or take memory without bound: bodies are limited before and after
// decompression, all requests together by a budget.
package ingest
