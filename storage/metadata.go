package storage

import (
	"context"
	"encoding/binary"
	"fmt"

	"tsdb/internal/model"
	"tsdb/storage/log"
)

// Bounds of one frame of metadata.
const (
	metadataFrameMetrics = 4096
	metadataFrameBytes   = 1 << 20 // or less, if frames of the log are smaller
)

// metadataShard is the shard whose stream carries all metadata, so that replay
// keeps its order.
const metadataShard = 0

// metadataBytes bounds the bytes that a metric's metadata takes in a frame: its
// strings and their lengths.
func metadataBytes(metric string, m model.Metadata) int {
	return len(metric) + len(m.Type) + len(m.Unit) + len(m.Help) + 4*binary.MaxVarintLen32
}

// metadataFrameLimit bounds the sum of metadataBytes of one frame.
func (w *writer) metadataFrameLimit() int {
	return min(metadataFrameBytes, w.wal.MaxPayload()-binary.MaxVarintLen64)
}

// applyMetadata logs the metadata of a batch that the active memtable does not
// have yet. Metadata that a sender repeats is logged once a generation, so that
// each block has the metadata sent in its time.
func (w *writer) applyMetadata(ctx context.Context, b *Batch) error {
	if len(b.metas) == 0 {
		return nil
	}
	news, bytes, limit := make(map[string]model.Metadata), 0, w.metadataFrameLimit()
	logged := &w.active().metadata
	for _, m := range b.metas {
		if !logged.wants(b.tenant, m.metric, m.meta) {
			continue
		}
		n := metadataBytes(m.metric, m.meta)
		if n > limit {
			b.rejects.Add(ReasonLimit, clip(m.metric), 0, fmt.Sprintf("metadata of %d bytes, limit is %d", n, limit), 1)
			continue
		}
		if len(news) == metadataFrameMetrics || bytes+n > limit {
			if err := w.logMetadata(ctx, b, news); err != nil {
				return err
			}
			clear(news)
			bytes = 0
		}
		news[m.metric] = m.meta
		bytes += n
	}
	return w.logMetadata(ctx, b, news)
}

func (w *writer) logMetadata(ctx context.Context, b *Batch, news map[string]model.Metadata) error {
	if len(news) == 0 {
		return nil
	}
	frame := log.AppendMetadata(b.commit.meta[:0], news)
	b.commit.meta = frame
	if err := w.wal.Reserve(ctx, log.FrameBytes(len(frame))); err != nil {
		return walError(err)
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	sh := w.head.Shard(metadataShard)
	sh.Lock()
	defer sh.Unlock()
	w.wal.Append(metadataShard, b.tenant, log.FrameMetadata, frame)
	for metric, m := range news {
		w.gate.active.metadata.set(b.tenant, metric, m)
		w.head.SetMetadata(b.tenant, metric, m)
	}
	return nil
}

// relogMetadata logs the metadata of a frozen memtable into the running
// generation, because no block will hold it, and waits until it is durable.
// Older metadata of a metric never follows newer.
func (w *writer) relogMetadata(ctx context.Context, frozen *memtable) error {
	entries, limit := frozen.metadata.all(), w.metadataFrameLimit()
	byTenant := make(map[uint32]map[string]model.Metadata)
	for k, m := range entries {
		if n := metadataBytes(k.metric, m); n > limit { // logged by a process with larger segments
			w.log.Warn("metadata dropped: larger than a frame of the log", "metric", clip(k.metric), "bytes", n, "limit", limit)
			continue
		}
		if byTenant[k.tenant] == nil {
			byTenant[k.tenant] = make(map[string]model.Metadata)
		}
		byTenant[k.tenant][k.metric] = m
	}
	for tenant, all := range byTenant {
		for len(all) > 0 {
			part, bytes := make(map[string]model.Metadata), 0
			for metric, m := range all {
				n := metadataBytes(metric, m)
				if len(part) == metadataFrameMetrics || bytes+n > limit {
					break
				}
				part[metric] = m
				bytes += n
				delete(all, metric)
			}
			reserved := log.FrameBytes(len(log.AppendMetadata(nil, part)))
			if err := w.wal.Reserve(ctx, reserved); err != nil {
				return walError(err)
			}
			w.wal.Unreserve(reserved - w.appendMissingMetadata(tenant, part))
		}
	}
	return walError(w.wal.Wait(ctx, w.wal.LastLSN()))
}

// appendMissingMetadata appends a frame of the metadata of the metrics that the
// active memtable has none of, and returns the bytes it used.
func (w *writer) appendMissingMetadata(tenant uint32, part map[string]model.Metadata) (used int) {
	w.gate.RLock()
	defer w.gate.RUnlock()
	sh := w.head.Shard(metadataShard)
	sh.Lock()
	defer sh.Unlock()
	for metric := range part {
		if w.gate.active.metadata.has(tenant, metric) {
			delete(part, metric)
		}
	}
	if len(part) == 0 {
		return 0
	}
	frame := log.AppendMetadata(nil, part)
	w.wal.Append(metadataShard, tenant, log.FrameMetadata, frame)
	for metric, m := range part {
		w.gate.active.metadata.set(tenant, metric, m)
	}
	return log.FrameBytes(len(frame))
}
