//! A bucket: keys and what they hold, as flat as they are.

use crate::BUCKET;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput,
    StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

#[derive(Clone, Default)]
pub(crate) struct Bucket(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    objects: BTreeMap<String, (Bytes, SystemTime)>,
    uploads: BTreeMap<String, BTreeMap<i32, Bytes>>,
    count: u64,
}

impl Bucket {
    pub(crate) fn get(&self, key: &str) -> Option<(Bytes, SystemTime)> {
        self.inside().objects.get(key).cloned()
    }

    pub(crate) fn uploads(&self) -> usize {
        self.inside().uploads.len()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("nothing panics while it is held")
    }

    fn found(&self, bucket: &str, key: &str) -> S3Result<(Bytes, SystemTime)> {
        if bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        self.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let add = |mut all: Vec<u8>, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    let all = body.try_fold(Vec::new(), add).await;
    all.map(Bytes::from).map_err(|_| s3_error!(IncompleteBody))
}

fn tag_of(data: &[u8]) -> ETag {
    ETag::Strong(format!("{:x}-{}", data.iter().map(|byte| u64::from(*byte)).sum::<u64>(), data.len()))
}

#[async_trait]
impl S3 for Bucket {
    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let (data, time) = self.found(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(data.len() as i64),
            e_tag: Some(tag_of(&data)),
            last_modified: Some(Timestamp::from(time)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (data, time) = self.found(&req.input.bucket, &req.input.key)?;
        let len = data.len();
        let part = match req.input.range {
            Some(range) => range.check(len as u64)?,
            None => 0..len as u64,
        };
        let told = format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1));
        let data = data.slice(part.start as usize..part.end as usize);
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(data.len() as i64),
            content_range: req.input.range.map(|_| told),
            e_tag: Some(tag_of(&data)),
            last_modified: Some(Timestamp::from(time)),
            body: Some(StreamingBlob::from(Body::from(data))),
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let new = req.input.if_none_match.is_some_and(|condition| condition.is_any());
        let data = whole(req.input.body).await?;
        let mut inside = self.inside();
        if new && inside.objects.contains_key(&req.input.key) {
            return Err(s3_error!(PreconditionFailed));
        }
        let e_tag = Some(tag_of(&data));
        inside.objects.insert(req.input.key, (data, SystemTime::now()));
        Ok(S3Response::new(PutObjectOutput { e_tag, ..PutObjectOutput::default() }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.inside().objects.remove(&req.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    /// In pages of seven, so that there are several.
    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        const PAGE: usize = 7;
        let input = req.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.clone().or(input.start_after.clone()).unwrap_or_default();
        let inside = self.inside();
        // What stands for each key below the prefix: itself, or all that go on alike up to the delimiter.
        let stands = |key: &String| match (&input.delimiter, key.strip_prefix(&prefix)?) {
            (Some(delimiter), rest) => match rest.find(delimiter.as_str()) {
                Some(at) => Some((format!("{prefix}{}{delimiter}", &rest[..at]), true)),
                None => Some((key.clone(), false)),
            },
            (None, _) => Some((key.clone(), false)),
        };
        let all: BTreeSet<_> =
            inside.objects.keys().filter_map(stands).filter(|(key, _)| *key > after).collect();
        let most = input.max_keys.map_or(PAGE, |most| PAGE.min(most as usize));
        let page: Vec<_> = all.iter().take(most).cloned().collect();
        let truncated = all.len() > page.len();
        let (prefixes, keys): (Vec<_>, Vec<_>) = page.iter().cloned().partition(|(_, is_prefix)| *is_prefix);
        let object = |(key, _): (String, bool)| {
            let (data, time) = &inside.objects[&key];
            Object {
                size: Some(data.len() as i64),
                e_tag: Some(tag_of(data)),
                last_modified: Some(Timestamp::from(*time)),
                key: Some(key),
                ..Object::default()
            }
        };
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: Some(page.len() as i32),
            is_truncated: Some(truncated),
            next_continuation_token: page.last().filter(|_| truncated).map(|(key, _)| key.clone()),
            contents: Some(keys.into_iter().map(object).collect()),
            common_prefixes: Some(
                prefixes.into_iter().map(|(prefix, _)| CommonPrefix { prefix: Some(prefix) }).collect(),
            ),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut inside = self.inside();
        inside.count += 1;
        let id = inside.count.to_string();
        inside.uploads.insert(id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(req.input.bucket),
            key: Some(req.input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let data = whole(req.input.body).await?;
        let e_tag = Some(tag_of(&data));
        let mut inside = self.inside();
        let upload = inside.uploads.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.insert(req.input.part_number, data);
        Ok(S3Response::new(UploadPartOutput { e_tag, ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        const LEAST: usize = 5 << 20;
        let input = req.input;
        let mut inside = self.inside();
        let parts = inside.uploads.remove(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let wanted = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let parts: Option<Vec<_>> = wanted.iter().map(|part| parts.get(&part.part_number?)).collect();
        let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(|| s3_error!(InvalidPart))?;
        if parts[..parts.len() - 1].iter().any(|part| part.len() < LEAST) {
            return Err(s3_error!(EntityTooSmall));
        }
        let data = Bytes::from(parts.into_iter().flatten().copied().collect::<Vec<u8>>());
        let e_tag = Some(tag_of(&data));
        inside.objects.insert(input.key.clone(), (data, SystemTime::now()));
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.inside().uploads.remove(&req.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
