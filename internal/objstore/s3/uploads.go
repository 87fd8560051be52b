package s3

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
)

// abort aborts an upload. One that is gone is aborted.
func (s *Store) abort(ctx context.Context, key, uploadID string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &s.bucket, Key: aws.String(s.name(key)), UploadId: &uploadID})
	if err != nil && code(err) != "NoSuchUpload" {
		return s.wrap(ctx, "abort the upload of", key, err)
	}
	return nil
}

// AbortUploads implements objstore.Uploads.
func (s *Store) AbortUploads(ctx context.Context, prefix string, before time.Time) (n int, err error) {
	in := &sdk.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: aws.String(s.name(prefix))}
	for {
		page, err := s.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return n, s.wrap(ctx, "list the uploads of", prefix, err)
		}
		for _, u := range page.Uploads {
			key, ok := strings.CutPrefix(aws.ToString(u.Key), s.prefix)
			if !ok || !strings.HasPrefix(key, prefix) || u.Initiated == nil || !u.Initiated.Before(before) {
				continue
			}
			if err := s.abort(ctx, key, aws.ToString(u.UploadId)); err != nil {
				return n, err
			}
			n++
		}
		nextKey, nextID := aws.ToString(page.NextKeyMarker), aws.ToString(page.NextUploadIdMarker)
		if !aws.ToBool(page.IsTruncated) || nextKey == "" && nextID == "" {
			return n, nil
		}
		in.KeyMarker, in.UploadIdMarker = &nextKey, &nextID
	}
}
