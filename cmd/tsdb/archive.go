package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tsdb/internal/objstore"
	"tsdb/internal/objstore/s3"
	"tsdb/internal/vfs"
)

// s3Flags are the flags about an archive in S3.
type s3Flags struct{ endpoint, region string }

func (f *s3Flags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.endpoint, "s3.endpoint", "", "`URL` of a service that speaks the protocol of S3 (default AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, otherwise AWS)")
	fs.StringVar(&f.region, "s3.region", "", "`region` of the bucket (default AWS_REGION or AWS_DEFAULT_REGION)")
}

// openArchive returns the store at a place, a directory or s3://bucket/prefix. With write
// the directory is made if it is missing, and a bucket is tried.
func openArchive(ctx context.Context, place string, flags s3Flags, write bool) (objstore.Conditional, error) {
	scheme, _, ok := strings.Cut(place, "://")
	switch {
	case ok && scheme == "s3":
		return openBucket(ctx, place, flags, write)
	case ok:
		return nil, usageError{fmt.Errorf("%s:// is no place of an archive: give a directory or s3://bucket/prefix", scheme)}
	}
	dir := filepath.ToSlash(filepath.Clean(place))
	if write {
		if err := vfs.MakeDirs(vfs.OS, dir); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return objstore.NewDir(vfs.OS, dir), nil
}

// openBucket returns the store in a bucket, with credentials from the environment.
func openBucket(ctx context.Context, place string, flags s3Flags, write bool) (objstore.Conditional, error) {
	bucket, prefix, err := s3.ParseURL(place)
	if err != nil {
		return nil, usageError{err}
	}
	store, err := s3.New(s3.Options{
		Bucket: bucket, Prefix: prefix,
		Region:      cmp.Or(flags.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Endpoint:    cmp.Or(flags.endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")),
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", place, err)}
	}
	if write {
		if err := store.CheckConditions(ctx); err != nil {
			return nil, err
		}
	}
	return store, nil
}
