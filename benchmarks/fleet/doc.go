// Package fleet makes the load of a fleet of machines that run node_exporter:
// 500 series a target with 11 labels each, scraped every 15 s at an offset of
// the target's own with a few milliseconds of jitter, sent by remote write 1
// as Prometheus sends it: one sample a series in each scrape, 2,000 samples a
// request, every series always by the same sender and in order of time.
//
// The bytes of labels are made once and copied into each request, so that
// most of a sender's time is snappy and HTTP, and a machine shared with the
// server under test is left to the server.
package fleet
