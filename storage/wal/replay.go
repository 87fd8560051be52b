package wal

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// readBytes is the size of the reads of Replay; a block grows to hold a larger
// frame.
const readBytes = 1 << 20

// readBlock is frames that were read together. It is passed to all workers
// that have a frame in it, and returns to the reader when the last one is done.
type readBlock struct {
	buf     []byte
	frames  [][]log.Frame // by worker
	pending atomic.Int32
}

// Replay calls apply for each frame of a generation, except the log's own, without
// decoding payloads. Frames of a shard are applied in order, one at a time;
// different shards run in up to workers goroutines. apply must not keep or change
// the payload. Memory is bounded by a few reads per worker. Replay stops at the
// first error of apply and when ctx is done.
func (r *Recovery) Replay(ctx context.Context, gen uint64, workers int, apply func(shard int, f log.Frame) error) error {
	workers = min(max(workers, 1), model.Shards)
	extents := r.extentsOf(gen)
	g, ctx := errgroup.WithContext(ctx)
	blocks := 2*workers + 2
	free := make(chan *readBlock, blocks)
	for range blocks {
		free <- &readBlock{frames: make([][]log.Frame, workers)}
	}
	queues := make([]chan *readBlock, workers)
	for w := range queues {
		queues[w] = make(chan *readBlock, blocks)
		g.Go(func() (err error) {
			defer panics.Catch(&err)
			for b := range queues[w] {
				for _, f := range b.frames[w] {
					if err := apply(f.Shard, f); err != nil {
						return fmt.Errorf("replay of LSN %d: %w", f.LSN, err)
					}
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if b.pending.Add(-1) == 0 {
					free <- b
				}
			}
			return nil
		})
	}
	g.Go(func() (err error) {
		defer panics.Catch(&err)
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		rd := replayReader{r: r, free: free, queues: queues}
		return rd.read(ctx, extents)
	})
	return g.Wait()
}

// replayReader reads extents and distributes their frames to the workers.
type replayReader struct {
	r      *Recovery
	free   <-chan *readBlock
	queues []chan *readBlock
}

func (rd *replayReader) read(ctx context.Context, extents []segmentExtent) (err error) {
	var file vfs.File
	var open *scannedSegment
	defer func() {
		if file != nil {
			_ = file.Close() // nothing was written to it
		}
	}()
	for _, p := range extents {
		if open != p.segment {
			if file != nil {
				_ = file.Close()
			}
			if file, err = rd.r.fs.Open(p.segment.name); err != nil {
				file = nil
				return fmt.Errorf("open segment: %w", err)
			}
			open = p.segment
		}
		if err := rd.readExtent(ctx, file, p); err != nil {
			return err
		}
	}
	return nil
}

// readExtent reads an extent block by block. A block ends at a frame boundary.
func (rd *replayReader) readExtent(ctx context.Context, file vfs.File, p segmentExtent) error {
	seed := seedOf(p.segment.id)
	need := frameHeaderBytes
	for at := p.extent.off; at < p.extent.end; {
		var b *readBlock
		select {
		case b = <-rd.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		n := int(min(int64(max(readBytes, need)), p.extent.end-at))
		if cap(b.buf) < n {
			b.buf = make([]byte, n)
		}
		b.buf = b.buf[:n]
		if got, err := file.ReadAt(b.buf, at); got < n {
			return fmt.Errorf("read segment %s@%d: %w", file.Name(), at, err)
		}
		used, err := rd.split(b, seed)
		if err != nil {
			return fmt.Errorf("read segment %s@%d: %w", file.Name(), at+int64(used), err)
		}
		need = 0
		if used == 0 {
			size, ok := plausible(b.buf, seed)
			if !ok || size <= n {
				return fmt.Errorf("read segment %s@%d: %w", file.Name(), at, errFrameChanged)
			}
			need = size
		}
		at += int64(used)
		rd.send(b)
		rd.r.progress(int64(used))
	}
	return nil
}

// errFrameChanged is returned when bytes that were a frame during Scan no longer are.
var errFrameChanged = fmt.Errorf("%w: frame changed since it was scanned", log.ErrCorrupt)

// split assigns the complete frames of a block to the workers and returns their size
// in bytes.
func (rd *replayReader) split(b *readBlock, seed uint32) (used int, err error) {
	for w := range b.frames {
		b.frames[w] = b.frames[w][:0]
	}
	for buf := b.buf; len(buf) >= frameHeaderBytes; {
		size, ok := plausible(buf, seed)
		if !ok {
			return used, errFrameChanged
		}
		if size > len(buf) {
			break
		}
		f, ok := parseFrame(buf, seed)
		if !ok {
			return used, errFrameChanged
		}
		if !f.Type.Internal() {
			w := f.Shard % len(b.frames)
			b.frames[w] = append(b.frames[w], f)
		}
		used += size
		buf = buf[size:]
	}
	return used, nil
}

// send passes a block to every worker, so that each sees all blocks in order.
func (rd *replayReader) send(b *readBlock) {
	b.pending.Store(int32(len(rd.queues)))
	for _, q := range rd.queues {
		q <- b // never blocks: a queue has room for all blocks
	}
}

func (r *Recovery) progress(n int64) {
	r.replayed += n
	if r.o.Progress != nil {
		r.o.Progress(r.replayed, r.report.Bytes)
	}
}
