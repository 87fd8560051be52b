package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tsdb/internal/objstore"
)

const (
	parallelParts = 4
	maxParts      = 10_000 // a limit of S3
	abortTimeout  = 30 * time.Second
	commitTries   = 3 // while the service is busy with another write of the key
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32C of b as a service expects it.
func checksum(b []byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))))
}

// writer writes an object: at once if it is small, in parts otherwise.
type writer struct {
	s   *Store
	ctx context.Context // of Create; governs the uploads of parts
	key string

	buf      []byte // not uploaded yet, at most a part
	tail     objstore.Tail
	size     int64
	uploadID string // empty = there is no upload
	numParts int32
	slots    chan struct{} // one for each part under way
	parts    sync.WaitGroup
	done     bool

	mu struct {
		sync.Mutex
		uploaded []types.CompletedPart // by part number; those under way are empty
		free     [][]byte              // buffers for parts
		err      error                 // of the first part that failed
	}
}

// Create implements objstore.Store.
func (s *Store) Create(ctx context.Context, key string) (objstore.Writer, error) {
	if err := s.check(ctx, key); err != nil {
		return nil, err
	}
	if strings.HasSuffix(key, objstore.TempSuffix) {
		return nil, fmt.Errorf("create %s: %w", key, errNewKey)
	}
	return &writer{s: s, ctx: ctx, key: key, slots: make(chan struct{}, parallelParts)}, nil
}

// Write implements objstore.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.key, objstore.ErrDone)
	}
	written := len(p)
	for len(p) > 0 {
		if len(w.buf) == w.s.partBytes { // more follows, so it is not the last part
			w.upload()
		}
		if err := w.err(); err != nil {
			return 0, err
		}
		n := min(len(p), w.s.partBytes-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		w.tail.Write(p[:n])
		w.size += int64(n)
		p = p[n:]
	}
	return written, w.err()
}

func (w *writer) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.err
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err == nil {
		w.mu.err = err
	}
}

// upload begins to upload the buffer as the next part, once a slot is free.
func (w *writer) upload() {
	if w.err() != nil {
		return
	}
	if w.uploadID == "" {
		resp, err := w.s.client.CreateMultipartUpload(w.ctx, &sdk.CreateMultipartUploadInput{
			Bucket: &w.s.bucket, Key: aws.String(w.s.name(w.key)), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		})
		if err == nil && aws.ToString(resp.UploadId) == "" {
			err = errors.New("the service gives no id of the upload")
		}
		if err != nil {
			w.fail(w.s.wrap(w.ctx, "begin an upload to", w.key, err))
			return
		}
		w.uploadID = aws.ToString(resp.UploadId)
	}
	if w.numParts == maxParts {
		w.fail(fmt.Errorf("write %s: the object exceeds the limit of %d parts with %d bytes", w.s.place(w.key), maxParts, w.s.partBytes))
		return
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		w.fail(w.s.wrap(w.ctx, "write", w.key, w.ctx.Err()))
		return
	}
	part := w.buf
	w.numParts++
	number := w.numParts
	w.mu.Lock()
	w.buf = nil
	if n := len(w.mu.free); n > 0 {
		w.buf, w.mu.free = w.mu.free[n-1][:0], w.mu.free[:n-1]
	} else {
		w.buf = make([]byte, 0, w.s.partBytes)
	}
	w.mu.uploaded = append(w.mu.uploaded, types.CompletedPart{})
	w.mu.Unlock()
	w.parts.Go(func() {
		defer func() { <-w.slots }()
		w.uploadPart(number, part)
	})
}

func (w *writer) uploadPart(number int32, part []byte) {
	crc := checksum(part)
	resp, err := w.s.client.UploadPart(w.ctx, &sdk.UploadPartInput{
		Bucket: &w.s.bucket, Key: aws.String(w.s.name(w.key)), UploadId: &w.uploadID, PartNumber: &number,
		Body: bytes.NewReader(part), ContentLength: aws.Int64(int64(len(part))), ChecksumCRC32C: crc,
	})
	if err != nil {
		w.fail(w.s.wrap(w.ctx, fmt.Sprintf("write part %d of", number), w.key, err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.uploaded[number-1] = types.CompletedPart{PartNumber: &number, ETag: resp.ETag, ChecksumCRC32C: crc}
	w.mu.free = append(w.mu.free, part)
}

// Commit implements objstore.Writer.
func (w *writer) Commit(ctx context.Context) (objstore.Identity, error) {
	if w.done {
		return objstore.Identity{}, fmt.Errorf("commit %s: %w", w.key, objstore.ErrDone)
	}
	if err := ctx.Err(); err != nil {
		return objstore.Identity{}, err
	}
	if w.uploadID != "" && len(w.buf) > 0 {
		w.upload()
	}
	w.parts.Wait()
	if err := w.err(); err != nil {
		return objstore.Identity{}, err
	}
	mine := w.tail.Identity(w.size)
	send := w.put
	if w.uploadID != "" {
		send = w.complete
	}
	for try := 1; ; try++ {
		err := send(ctx)
		if err != nil {
			existing, headErr := w.s.Head(ctx, w.key)
			switch decidable := refused(err) || unanswered(err) || code(err) == "NoSuchUpload"; {
			case !decidable:
				return objstore.Identity{}, w.s.wrap(ctx, "write", w.key, err)
			case headErr == nil && existing != mine:
				return objstore.Identity{}, &objstore.ConflictError{Key: w.key, Existing: existing, Mine: mine}
			case headErr == nil:
				if err := w.abortUpload(); err != nil {
					return objstore.Identity{}, err
				}
			case errors.Is(headErr, fs.ErrNotExist) && refused(err) && w.uploadID == "" && try < commitTries:
				continue // another writer was busy, and aborted
			case errors.Is(headErr, fs.ErrNotExist):
				return objstore.Identity{}, w.s.wrap(ctx, "write", w.key, err)
			default:
				return objstore.Identity{}, headErr
			}
		}
		w.done = true
		w.release()
		return mine, nil
	}
}

// put sends a small object.
func (w *writer) put(ctx context.Context) error {
	_, err := w.s.client.PutObject(ctx, &sdk.PutObjectInput{
		Bucket: &w.s.bucket, Key: aws.String(w.s.name(w.key)), IfNoneMatch: aws.String("*"),
		Body: bytes.NewReader(w.buf), ContentLength: aws.Int64(int64(len(w.buf))), ChecksumCRC32C: checksum(w.buf),
	})
	return err
}

// complete makes an object of the parts.
func (w *writer) complete(ctx context.Context) error {
	w.mu.Lock()
	parts := w.mu.uploaded
	w.mu.Unlock()
	_, err := w.s.client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
		Bucket: &w.s.bucket, Key: aws.String(w.s.name(w.key)), UploadId: &w.uploadID, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// release gives up the buffers.
func (w *writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf, w.mu.free = nil, nil
}

// Abort implements objstore.Writer. An object that a Commit with a lost answer has made
// stays: it is unreferenced, and whole.
func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.parts.Wait()
	w.release()
	return w.abortUpload()
}

// abortUpload discards the parts of an upload, also if the context of Create has ended.
func (w *writer) abortUpload() error {
	if w.uploadID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), abortTimeout)
	defer cancel()
	return w.s.abort(ctx, w.key, w.uploadID)
}
