package promread

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// Bounds of what is held of an answer.
const (
	maxFrame  = 64 << 20  // of a stream; Prometheus sends 1 MiB
	maxAnswer = 512 << 20 // a message of samples, decompressed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// reader reads the answer to one request, again after an error that may pass.
type reader struct {
	s *Source
	request
	at   int64 // mark of the last series that was passed on, 0 = none
	emit transfer.Emit

	skipping bool // up to the series of the mark
	builder  labels.ScratchBuilder
	labels   labels.Labels // of the series at hand
	samples  model.Samples // of it, those not passed on yet
	scratch  []byte
	frame    []byte
	iterator chunkenc.Iterator // scratch
}

// answer sends the request and passes on what comes behind the mark. If the series of the
// mark is gone, that is everything.
func (r *reader) answer(ctx context.Context) error {
	r.skipping = r.at != 0
	if err := r.once(ctx); err != nil || !r.skipping {
		return err
	}
	r.at = 0
	return r.answer(ctx)
}

func (r *reader) once(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := newStallTimer(cancel)
	defer timer.Stop()
	resp, err := r.s.post(ctx, r.request)
	if err != nil {
		return stalled(ctx, err)
	}
	defer resp.Body.Close()
	chunks, err := streamed(resp)
	if err != nil {
		return err
	}
	body := &stallReader{resp.Body, timer}
	r.labels, r.samples = labels.EmptyLabels(), model.Samples{}
	if chunks {
		err = r.readStream(bufio.NewReaderSize(body, 256<<10))
	} else {
		err = r.readSamples(body)
	}
	if err == nil {
		err = r.flush(true)
	}
	return stalled(ctx, err)
}

// stalled names the reason of an error that the end of a stalled request is.
func stalled(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStall) {
		return &passingError{error: errStall}
	}
	return err
}

// readStream reads frames: length as a varint, big-endian CRC-32C, a message.
func (r *reader) readStream(in *bufio.Reader) error {
	for {
		n, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return &passingError{error: fmt.Errorf("read a frame: %w", err)}
		}
		if n > maxFrame {
			return &passingError{error: fmt.Errorf("frame of %d bytes exceeds the limit of %d, or the server has failed", n, maxFrame)}
		}
		if uint64(cap(r.frame)) < n {
			r.frame = make([]byte, n)
		}
		r.frame = r.frame[:n]
		var sum [crc32.Size]byte
		if _, err = io.ReadFull(in, sum[:]); err == nil {
			_, err = io.ReadFull(in, r.frame)
		}
		if err != nil {
			return &passingError{error: fmt.Errorf("read a frame: %w", err)}
		}
		if crc32.Checksum(r.frame, castagnoli) != binary.BigEndian.Uint32(sum[:]) {
			return &passingError{error: errors.New("read a frame: its checksum is wrong, or the server has failed")}
		}
		if err := r.decodeFrame(r.frame); err != nil {
			return err
		}
	}
}

// readSamples reads a snappy block of one message.
func (r *reader) readSamples(body io.Reader) error {
	compressed, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return &passingError{error: fmt.Errorf("read the answer: %w", err)}
	}
	n, err := s2.DecodedLen(compressed)
	switch {
	case len(compressed) > maxAnswer || err == nil && n > maxAnswer:
		return fmt.Errorf("the server answers with samples of more than %d MiB at once: ask for less with --window", maxAnswer>>20)
	case err != nil:
		return fmt.Errorf("read the answer: snappy: %w", err)
	}
	message, err := s2.Decode(nil, compressed)
	if err != nil {
		return fmt.Errorf("read the answer: snappy: %w", err)
	}
	return r.decodeSamples(message)
}

// begin makes ls the series at hand, and reports whether its samples are wanted. The one
// before is passed on if it is another.
func (r *reader) begin(ls labels.Labels) (bool, error) {
	if !labels.Equal(ls, r.labels) {
		if err := r.flush(true); err != nil {
			return false, err
		}
		r.labels = ls
	}
	return !r.skipping, nil
}

// flush passes on the samples of the series at hand; last says that no more follow.
func (r *reader) flush(last bool) error {
	if r.labels.IsEmpty() {
		return nil
	}
	mark := r.at
	if last {
		r.scratch = r.labels.Bytes(r.scratch[:0])
		mark = int64(xxh3.Hash(r.scratch)>>1) | 1
	}
	if r.skipping {
		r.skipping = mark != r.at
		return nil
	}
	if r.samples.Len() > 0 {
		if err := r.emit(mark, &transfer.Item{Labels: r.labels, Samples: &r.samples, Done: 1}); err != nil {
			return err
		}
		r.samples.Reset()
		r.at = mark
	}
	return nil
}

// keep drops the samples from row n on that are outside of the window, and passes on a
// part of a series that is large.
func (r *reader) keep(n int) error {
	to := n
	for i := n; i < r.samples.Len(); {
		j := i
		for j < r.samples.Len() && r.tr.Contains(r.samples.T[j]) {
			j++
		}
		to = r.samples.Move(to, i, j)
		i = j + 1
	}
	r.samples.Truncate(to)
	if r.samples.Len() >= maxItem {
		return r.flush(false)
	}
	return nil
}
