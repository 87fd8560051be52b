package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"tsdb/internal/objstore"
)

const (
	// DefaultPartBytes is the default of Options.PartBytes. S3 takes 10,000 parts, so an
	// object has at most 156 GiB.
	DefaultPartBytes = 16 << 20
	// DefaultIdle is the default of Options.Idle. A service may take a while to complete
	// an upload of many parts.
	DefaultIdle = 2 * time.Minute

	defaultRegion  = "us-east-1"     // of services that have none
	maxPrefixBytes = 512             // leaves half of a key for those of the store
	maxAttempts    = 5               // of a request
	maxRetryDelay  = 5 * time.Second // between two
	grace          = 15 * time.Minute
)

// Options are the options of a Store.
type Options struct {
	Bucket string
	Prefix string // slash-separated; empty = the whole bucket
	Region string // may be empty if there is an Endpoint
	// Endpoint is the URL of a service other than that of AWS, which is addressed
	// by paths instead of host names; empty = AWS.
	Endpoint string

	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary credentials; may be empty

	PartBytes int           // of an upload, ≥ 5 MiB on most services; 0 = DefaultPartBytes
	Idle      time.Duration // after which a connection without traffic is closed; 0 = DefaultIdle
	// MaxRetryDelay bounds the delay between two attempts; 0 = 5 s.
	MaxRetryDelay time.Duration
}

// ParseURL splits s3://bucket/prefix.
func ParseURL(place string) (bucket, prefix string, err error) {
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Port() != "" {
		return "", "", fmt.Errorf("%q is no place in S3: want s3://bucket or s3://bucket/prefix", place)
	}
	return u.Host, strings.Trim(u.Path, "/"), nil
}

// validate returns all mistakes in the options.
func (o *Options) validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Bucket == "" {
		add("no bucket is given")
	}
	if o.Prefix != "" && (!fs.ValidPath(o.Prefix) || o.Prefix == "." || strings.ContainsAny(o.Prefix, "\\\x00")) {
		add("prefix %q is not a slash-separated path", o.Prefix)
	}
	if len(o.Prefix) > maxPrefixBytes {
		add("the prefix has %d bytes, at most %d are allowed", len(o.Prefix), maxPrefixBytes)
	}
	if o.AccessKeyID == "" || o.SecretAccessKey == "" {
		add("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary ones")
	}
	if o.Endpoint == "" && o.Region == "" {
		add("no region: set AWS_REGION or --s3.region")
	}
	if o.Endpoint != "" {
		if u, err := url.Parse(o.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			add("endpoint %q is not a URL such as https://s3.example.com", o.Endpoint)
		} else if u.User != nil {
			add("the endpoint has a user: credentials are set by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
		}
	}
	return errors.Join(errs...)
}

// Store is a Store in a bucket.
type Store struct {
	client    *sdk.Client
	bucket    string
	prefix    string // empty, or ends in a slash
	endpoint  string // for people
	partBytes int
}

var (
	_ objstore.Conditional = (*Store)(nil)
	_ objstore.Uploads     = (*Store)(nil)
)

// New returns the store of a bucket. It makes no request: CheckConditions does.
func New(o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Store{bucket: o.Bucket, endpoint: cmp.Or(o.Endpoint, "AWS in region "+o.Region), partBytes: cmp.Or(o.PartBytes, DefaultPartBytes)}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	credentials := aws.Credentials{AccessKeyID: o.AccessKeyID, SecretAccessKey: o.SecretAccessKey, SessionToken: o.SessionToken}
	options := sdk.Options{
		Region:      cmp.Or(o.Region, defaultRegion),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
		HTTPClient:  newClient(cmp.Or(o.Idle, DefaultIdle)),
		Retryer: retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = maxAttempts, cmp.Or(o.MaxRetryDelay, maxRetryDelay)
			r.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(repeatable)}, r.Retryables...)
		}),
		// Checksums are computed here, and many services know none for other requests.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Logger:                     logging.Nop{},
	}
	encrypted := true
	if o.Endpoint != "" {
		options.BaseEndpoint, options.UsePathStyle = aws.String(o.Endpoint), true
		encrypted = strings.HasPrefix(o.Endpoint, "https://")
	}
	if encrypted {
		// TLS and the CRC protect the body; a SHA-256 for the signature would take most of the CPU time.
		options.APIOptions = append(options.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
	s.client = sdk.New(options)
	return s, nil
}

// repeatable adds to the SDK's judgement: a response that was cut short is requested again.
func repeatable(err error) aws.Ternary {
	if cutShort(err) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// Grace implements objstore.Store: readers in other processes hold nothing open.
func (s *Store) Grace() time.Duration { return grace }

// name returns the key in the bucket of an object.
func (s *Store) name(key string) string { return s.prefix + key }

// place names an object to people.
func (s *Store) place(key string) string { return "s3://" + s.bucket + "/" + s.name(key) }

// check returns an error if the context has ended or key cannot be that of an object.
func (s *Store) check(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return err
	}
	if n := len(s.name(key)); n > objstore.MaxKeyBytes {
		return fmt.Errorf("%w: %d bytes with the prefix exceed the limit of %d", objstore.ErrKey, n, objstore.MaxKeyBytes)
	}
	return nil
}
