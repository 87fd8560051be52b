package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tsdb/internal/objstore"
)

const (
	maxDelete  = 1000    // keys of a request, a limit of S3
	maxCopy    = 5 << 30 // bytes that a request copies, a limit of S3
	asideTries = 1000    // names of one key in lost+found
)

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return nil, fmt.Errorf("%w: prefix %q does not end in a slash", objstore.ErrKey, prefix)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := &sdk.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.name(prefix))}
	var keys []string
	for {
		page, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, s.wrap(ctx, "list", prefix, err)
		}
		for _, o := range page.Contents {
			key, ok := strings.CutPrefix(aws.ToString(o.Key), s.prefix)
			if ok && strings.HasPrefix(key, prefix) && objstore.CheckKey(key) == nil {
				keys = append(keys, key)
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		if page.NextContinuationToken == nil {
			return nil, fmt.Errorf("list %s: the service cuts the list short", s.place(prefix))
		}
		in.ContinuationToken = page.NextContinuationToken
	}
	slices.Sort(keys) // not every kind of bucket does
	return keys, nil
}

// Delete implements objstore.Store.
func (s *Store) Delete(ctx context.Context, keys ...string) []error {
	errs, failed := make([]error, len(keys)), false
	var valid []int
	for i, key := range keys {
		if errs[i] = s.check(ctx, key); errs[i] != nil {
			failed = true
		} else {
			valid = append(valid, i)
		}
	}
	for batch := range slices.Chunk(valid, maxDelete) {
		if !s.deleteBatch(ctx, keys, batch, errs) {
			failed = true
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// deleteBatch deletes the keys with the indexes of batch and sets their errors.
func (s *Store) deleteBatch(ctx context.Context, keys []string, batch []int, errs []error) (ok bool) {
	in := &sdk.DeleteObjectsInput{Bucket: &s.bucket, Delete: &types.Delete{Quiet: aws.Bool(true)}}
	byName := map[string][]int{}
	for _, i := range batch {
		name := s.name(keys[i])
		if byName[name] == nil {
			in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: &name})
		}
		byName[name] = append(byName[name], i)
	}
	resp, err := s.client.DeleteObjects(ctx, in)
	if err != nil {
		for _, i := range batch {
			errs[i] = s.wrap(ctx, "delete", keys[i], err)
		}
		return false
	}
	ok = true
	for _, e := range resp.Errors {
		if c := aws.ToString(e.Code); c != "NoSuchKey" {
			for _, i := range byName[aws.ToString(e.Key)] {
				errs[i] = fmt.Errorf("delete %s: the service responds with %s%s", s.place(keys[i]), c, detail(aws.ToString(e.Message)))
				ok = false
			}
		}
	}
	return ok
}

// SetAside implements objstore.Store. An object above 5 GiB is refused: no single request
// copies it.
func (s *Store) SetAside(ctx context.Context, key string) (string, error) {
	o, err := s.open(ctx, key, objstore.TailBytes)
	if err != nil {
		return "", err
	}
	if o.size > maxCopy {
		return "", fmt.Errorf("move %s to %s: it has %d bytes, at most %d can be copied", s.place(key), objstore.LostFound, o.size, int64(maxCopy))
	}
	place, err := s.freePlace(ctx, key)
	if err != nil {
		return "", err
	}
	source := &url.URL{Path: s.bucket + "/" + s.name(key)}
	_, err = s.client.CopyObject(ctx, &sdk.CopyObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.name(place)), CopySource: aws.String(source.EscapedPath()), CopySourceIfMatch: &o.etag,
	})
	if err != nil {
		return "", s.wrap(ctx, "copy to "+objstore.LostFound, key, err)
	}
	return place, errors.Join(s.Delete(ctx, key)...)
}

// freePlace returns a key in lost+found that no object has.
func (s *Store) freePlace(ctx context.Context, key string) (string, error) {
	base := path.Join(objstore.LostFound, strings.ReplaceAll(key, "/", "_"))
	for n := range asideTries {
		place := base
		if n > 0 {
			place = fmt.Sprintf("%s.%d", base, n)
		}
		_, err := s.client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(s.name(place))})
		if status(err) == http.StatusNotFound {
			return place, nil
		}
		if err != nil {
			return "", s.wrap(ctx, "look for", place, err)
		}
	}
	return "", fmt.Errorf("move %s to %s: %d objects of this key are there: %w", s.place(key), objstore.LostFound, asideTries, fs.ErrExist)
}
