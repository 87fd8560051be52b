// Package door is the contract between the ingest protocols and the database. It
// is about four things: a Door serves one protocol, a Request is a request in
// progress, a Batch collects its series and samples, and a Decoder is what a
// protocol implements.
//
//	body ─▶ Request.Body ─▶ Decoder.Decode ─▶ Batch.Queue ─▶ lookup ─▶ Decoder.AddSamples ─▶ commit
//	        budget,         walks the         alias of a      │ unknown alias     ▲
//	        snappy, gzip    request           series          ▼                   │ ref
//	                                          Decoder.Labels ─▶ LabelSet: limits ─▶ resolve
//
// The labels of a known series are never parsed: the bytes that name the series
// are hashed, and this hash, the alias, is looked up. Aliases are queued and looked
// up in groups, so that the cache misses of the lookups overlap. Only for an alias
// that is not known does the Batch ask the Decoder for labels, checks and sorts
// them, and resolves the series. A refused series has the ref zero: the Decoder
// still decodes its samples, so that whether a request is malformed never depends
// on which series are known, and counts them in Batch.Offered without adding them.
//
// Everything that doors have in common is here and only here: the lookup of
// groups, the pool of decoders with their buffers and batches, the seeds of the
// aliases, the limits and their wording, the repetition of a request whose series
// left the head, and the classes of errors.
package door
