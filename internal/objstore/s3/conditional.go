package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"tsdb/internal/objstore"
)

const (
	// probeKey is an object on which conditions are tried. No List shows it.
	probeKey = objstore.LostFound + "/conditional-writes"
	// noETag is the ETag of no object.
	noETag = `"00000000000000000000000000000000"`
)

// ErrNoConditions is returned by CheckConditions for a service on which two backups could
// overwrite each other's objects.
var ErrNoConditions = errors.New("the service ignores the conditions of writes (If-None-Match, If-Match), without which two backups could destroy each other")

// PutIf implements objstore.Conditional. If an identical object is there, it succeeds:
// that is the object whose answer was lost.
func (s *Store) PutIf(ctx context.Context, key string, data []byte, expected objstore.Identity) (objstore.Identity, error) {
	if err := s.check(ctx, key); err != nil {
		return objstore.Identity{}, err
	}
	if strings.HasSuffix(key, objstore.TempSuffix) {
		return objstore.Identity{}, fmt.Errorf("put %s: %w", key, errNewKey)
	}
	mine := objstore.IdentityOf(int64(len(data)), data)
	in := &sdk.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.name(key)), Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumCRC32C: checksum(data),
	}
	if expected == (objstore.Identity{}) {
		in.IfNoneMatch = aws.String("*")
	} else {
		o, err := s.open(ctx, key, objstore.TailBytes)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return objstore.Identity{}, &objstore.ConflictError{Key: key, Mine: mine}
		case err != nil:
			return objstore.Identity{}, err
		case o.identity() != expected:
			return objstore.Identity{}, &objstore.ConflictError{Key: key, Existing: o.identity(), Mine: mine}
		}
		in.IfMatch = &o.etag
	}
	_, err := s.client.PutObject(ctx, in)
	if err == nil {
		return mine, nil
	}
	if !refused(err) && !unanswered(err) && !(in.IfMatch != nil && code(err) == "NoSuchKey") {
		return objstore.Identity{}, s.wrap(ctx, "put", key, err)
	}
	existing, headErr := s.Head(ctx, key)
	switch {
	case headErr == nil && existing == mine:
		return mine, nil
	case headErr == nil && existing != expected, errors.Is(headErr, fs.ErrNotExist) && expected != (objstore.Identity{}):
		return objstore.Identity{}, &objstore.ConflictError{Key: key, Existing: existing, Mine: mine}
	case unanswered(err):
		return objstore.Identity{}, s.wrap(ctx, "put", key, err)
	case headErr == nil, errors.Is(headErr, fs.ErrNotExist): // another write was under way, which has not succeeded
		return objstore.Identity{}, fmt.Errorf("put %s: %w: %w", s.place(key), objstore.ErrBusy, err)
	}
	return objstore.Identity{}, headErr
}

// CheckConditions returns an error unless objects can be written and the service refuses
// writes whose conditions are not met. It leaves an object of a few bytes.
func (s *Store) CheckConditions(ctx context.Context) error {
	body := []byte("tsdb tries here whether the conditions of writes are honoured\n")
	put := func(ifNoneMatch, ifMatch *string) error {
		_, err := s.client.PutObject(ctx, &sdk.PutObjectInput{
			Bucket: &s.bucket, Key: aws.String(s.name(probeKey)), Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
			ChecksumCRC32C: checksum(body), IfNoneMatch: ifNoneMatch, IfMatch: ifMatch,
		})
		return err
	}
	if err := put(aws.String("*"), nil); err == nil { // it was missing, or the condition was ignored
		err = put(aws.String("*"), nil)
		if err == nil {
			return &Error{Op: "write", Place: s.place(probeKey), What: ErrNoConditions.Error(), Err: ErrNoConditions}
		}
		if !refused(err) {
			return s.wrap(ctx, "write", probeKey, err)
		}
	} else if !refused(err) {
		return s.wrap(ctx, "write", probeKey, err)
	}
	switch err := put(nil, aws.String(noETag)); {
	case err == nil:
		return &Error{Op: "write", Place: s.place(probeKey), What: ErrNoConditions.Error(), Err: ErrNoConditions}
	case !refused(err):
		return s.wrap(ctx, "write", probeKey, err)
	}
	return nil
}
