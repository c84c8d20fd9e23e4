//! Every reply as it is sent, in both formats (§7).

use insta::assert_snapshot;
use wire::code::{Code, Fault};
use wire::envelope::Format;
use wire::reply::{
    AttemptInfo, CancelUrlUploadJobsReply, Digests, GetPlayInfoReply, GetUrlUploadInfosReply,
    ListUrlUploadJobsReply, Node, Outcome, OutcomeKind, PlayInfo, ProgressInfo, QueuePlaceInfo,
    Reply, UploadJob, UploadMediaByUrlReply, UrlUploadInfo, VideoBase, render_fault,
};

const REQUEST_ID: &str = "25818875-5F78-4D5C-8C3D-D73936420000";

fn json(reply: &Reply) -> String {
    String::from_utf8(reply.render(Format::Json, REQUEST_ID)).expect("UTF-8")
}

fn xml(reply: &Reply) -> String {
    String::from_utf8(reply.render(Format::Xml, REQUEST_ID)).expect("UTF-8")
}

fn info() -> UrlUploadInfo {
    UrlUploadInfo {
        job_id: "j1".to_owned(),
        upload_url: "http://h/a.mp4?x=1&y=2".to_owned(),
        media_id: Some("m1".to_owned()),
        status: "DOWNLOADING".to_owned(),
        file_size: Some(64_610),
        creation_time: 1_767_323_045,
        complete_time: Some(1_767_323_046),
        error_code: Some("URLInvalidError".to_owned()),
        error_message: Some("gone".to_owned()),
        user_data: Some("{}".to_owned()),
        progress: Some(ProgressInfo {
            bytes: 10,
            total: Some(20),
            attempt: 1,
            title: "a.mp4".to_owned(),
            next_attempt: Some(1_767_323_105),
            deadline: 1_767_409_445,
            rescues: 0,
        }),
        digests: Some(Digests {
            sha256: Some("ab".repeat(32)),
            crc64: 7,
            md5: Some("cd".repeat(16)),
        }),
        attempts: Some(vec![AttemptInfo {
            number: 1,
            start_time: 1_767_323_045,
            end_time: Some(1_767_323_046),
            ending: "Failed".to_owned(),
            error_code: Some("URLInvalidError".to_owned()),
            error_message: Some("gone".to_owned()),
            bytes: 10,
        }]),
        queue_place: Some(QueuePlaceInfo {
            position: 7,
            is_exact: true,
            priority: "high".to_owned(),
            paused: false,
            estimated_seconds: Some(90),
        }),
        account: Some("press".to_owned()),
    }
}

/// A reply of the operation with every field that can be there.
pub(crate) fn full(action: &str) -> Reply {
    match action {
        "UploadMediaByURL" => Reply::UploadMediaByUrl(UploadMediaByUrlReply {
            upload_jobs: vec![UploadJob {
                job_id: "ad90a501b1b94a1fbcfb72374ad00504".to_owned(),
                source_url: "http://media.example/a.mp4".to_owned(),
            }],
        }),
        "GetURLUploadInfos" => Reply::GetUrlUploadInfos(GetUrlUploadInfosReply {
            infos: vec![info()],
            non_exists: vec!["x".to_owned()],
        }),
        "CancelUrlUploadJobs" => Reply::CancelUrlUploadJobs(CancelUrlUploadJobsReply {
            canceled_jobs: vec!["j1".to_owned()],
            non_exists: vec!["j2".to_owned()],
            outcomes: Some(vec![Outcome {
                input: "j1".to_owned(),
                job_id: Some("j1".to_owned()),
                outcome: OutcomeKind::Canceled,
                status: Some("CANCELED".to_owned()),
            }]),
        }),
        "GetPlayInfo" => Reply::GetPlayInfo(play_info()),
        "ListUrlUploadJobs" => Reply::ListUrlUploadJobs(ListUrlUploadJobsReply {
            infos: vec![info()],
            next_token: Some("t".to_owned()),
        }),
        other => super::console::full(other),
    }
}

fn play_info() -> GetPlayInfoReply {
    GetPlayInfoReply {
        video_base: VideoBase {
            video_id: "m1".to_owned(),
            title: "A <b>".to_owned(),
            duration: Some(9.046_399_9),
            cover_url: Some("http://h/c.jpg".to_owned()),
            status: "Normal".to_owned(),
            creation_time: 1_767_323_045,
            media_type: "video".to_owned(),
            storage_class: Some("Standard".to_owned()),
        },
        play_info: vec![PlayInfo {
            width: Some(1280),
            height: Some(720),
            size: 418_112,
            play_url: "http://h/media/1?e=1&s=2".to_owned(),
            format: "mp4".to_owned(),
            definition: "OD".to_owned(),
            specification: "Original".to_owned(),
            duration: Some(9.0464),
            bitrate: Some(450.878),
            fps: Some(25.0),
            stream_type: "video".to_owned(),
            status: "Normal".to_owned(),
            job_id: "j1".to_owned(),
            creation_time: 1_767_323_045,
            modification_time: 1_767_323_046,
            codec_name: Some("h264".to_owned()),
            digests: Some(Digests {
                sha256: Some("ab".repeat(32)),
                crc64: u64::MAX,
                md5: Some("cd".repeat(16)),
            }),
        }],
    }
}

#[test]
fn the_seeds_samples_are_answered_field_for_field() {
    // One element per id: the joined element of the printed sample is an artefact (§7.2).
    let ids = Reply::CancelUrlUploadJobs(CancelUrlUploadJobsReply {
        canceled_jobs: vec!["341c92e6c18dc435ee31253685****".to_owned()],
        non_exists: vec!["0193d395194a83ad6ee2ef27a5b5****".to_owned()],
        outcomes: None,
    });
    assert_snapshot!(json(&ids), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","CanceledJobs":["341c92e6c18dc435ee31253685****"],"NonExists":["0193d395194a83ad6ee2ef27a5b5****"]}"#);
    assert_snapshot!(xml(&ids), @r#"<?xml version="1.0" encoding="UTF-8"?><CancelUrlUploadJobsResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><CanceledJobs>341c92e6c18dc435ee31253685****</CanceledJobs><NonExists>0193d395194a83ad6ee2ef27a5b5****</NonExists></CancelUrlUploadJobsResponse>"#);

    let urls = Reply::CancelUrlUploadJobs(CancelUrlUploadJobsReply {
        canceled_jobs: vec!["a".to_owned(), "b".to_owned()],
        non_exists: vec![
            "http://www.example.com/video01.mp4".to_owned(),
            "http://www.example.com/video02.mp4".to_owned(),
        ],
        outcomes: None,
    });
    assert_snapshot!(json(&urls), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","CanceledJobs":["a","b"],"NonExists":["http://www.example.com/video01.mp4","http://www.example.com/video02.mp4"]}"#);
    assert_snapshot!(xml(&urls), @r#"<?xml version="1.0" encoding="UTF-8"?><CancelUrlUploadJobsResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><CanceledJobs>a</CanceledJobs><CanceledJobs>b</CanceledJobs><NonExists>http://www.example.com/video01.mp4</NonExists><NonExists>http://www.example.com/video02.mp4</NonExists></CancelUrlUploadJobsResponse>"#);
}

#[test]
fn empty_lists_stay_in_json_and_vanish_from_xml_unless_they_are_wrapped() {
    let cancel = Reply::CancelUrlUploadJobs(CancelUrlUploadJobsReply::default());
    assert_snapshot!(json(&cancel), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","CanceledJobs":[],"NonExists":[]}"#);
    assert_snapshot!(xml(&cancel), @r#"<?xml version="1.0" encoding="UTF-8"?><CancelUrlUploadJobsResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId></CancelUrlUploadJobsResponse>"#);

    let play = Reply::GetPlayInfo(GetPlayInfoReply::default());
    assert_snapshot!(json(&play), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","VideoBase":{"VideoId":"","Title":"","Status":"","CreationTime":"1970-01-01T00:00:00Z","MediaType":""},"PlayInfoList":{"PlayInfo":[]}}"#);
    assert_snapshot!(xml(&play), @r#"<?xml version="1.0" encoding="UTF-8"?><GetPlayInfoResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><VideoBase><VideoId></VideoId><Title></Title><Status></Status><CreationTime>1970-01-01T00:00:00Z</CreationTime><MediaType></MediaType></VideoBase><PlayInfoList></PlayInfoList></GetPlayInfoResponse>"#);
}

#[test]
fn outcomes_of_a_cancel() {
    let reply = Reply::CancelUrlUploadJobs(CancelUrlUploadJobsReply {
        outcomes: Some(vec![
            Outcome {
                input: "j1".to_owned(),
                job_id: Some("j1".to_owned()),
                outcome: OutcomeKind::NotPending,
                status: Some("DOWNLOADING".to_owned()),
            },
            Outcome {
                input: "http://h/a.mp4".to_owned(),
                job_id: None,
                outcome: OutcomeKind::NotExist,
                status: None,
            },
        ]),
        ..CancelUrlUploadJobsReply::default()
    });
    assert_snapshot!(json(&reply), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","CanceledJobs":[],"NonExists":[],"Outcomes":[{"Input":"j1","JobId":"j1","Outcome":"NotPending","Status":"DOWNLOADING"},{"Input":"http://h/a.mp4","Outcome":"NotExist"}]}"#);
    assert_snapshot!(xml(&reply), @r#"<?xml version="1.0" encoding="UTF-8"?><CancelUrlUploadJobsResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><Outcomes><Input>j1</Input><JobId>j1</JobId><Outcome>NotPending</Outcome><Status>DOWNLOADING</Status></Outcomes><Outcomes><Input>http://h/a.mp4</Input><Outcome>NotExist</Outcome></Outcomes></CancelUrlUploadJobsResponse>"#);
}

#[test]
fn jobs_of_an_upload() {
    let reply = full("UploadMediaByURL");
    assert_snapshot!(json(&reply), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","UploadJobs":[{"JobId":"ad90a501b1b94a1fbcfb72374ad00504","SourceURL":"http://media.example/a.mp4"}]}"#);
    assert_snapshot!(xml(&reply), @r#"<?xml version="1.0" encoding="UTF-8"?><UploadMediaByURLResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><UploadJobs><JobId>ad90a501b1b94a1fbcfb72374ad00504</JobId><SourceURL>http://media.example/a.mp4</SourceURL></UploadJobs></UploadMediaByURLResponse>"#);
}

#[test]
fn infos_of_jobs() {
    let pending = UrlUploadInfo {
        job_id: "j2".to_owned(),
        upload_url: "http://h/b.mp4".to_owned(),
        status: "PENDING".to_owned(),
        creation_time: 1_767_323_045,
        ..UrlUploadInfo::default()
    };
    let reply = Reply::GetUrlUploadInfos(GetUrlUploadInfosReply {
        infos: vec![info(), pending],
        non_exists: vec!["j3".to_owned()],
    });
    assert_snapshot!(json(&reply), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","URLUploadInfoList":[{"JobId":"j1","UploadURL":"http://h/a.mp4?x=1&y=2","MediaId":"m1","Status":"DOWNLOADING","FileSize":"64610","CreationTime":"2026-01-02T03:04:05Z","CompleteTime":"2026-01-02T03:04:06Z","ErrorCode":"URLInvalidError","ErrorMessage":"gone","UserData":"{}","Progress":{"BytesReceived":10,"BytesTotal":20,"Attempt":1,"Title":"a.mp4","NextAttemptTime":"2026-01-02T03:05:05Z","Deadline":"2026-01-03T03:04:05Z","Rescues":0},"Digests":{"Sha256":"abababababababababababababababababababababababababababababababab","Crc64":"7","Md5":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"},"Attempts":[{"Number":1,"StartTime":"2026-01-02T03:04:05Z","EndTime":"2026-01-02T03:04:06Z","Ending":"Failed","ErrorCode":"URLInvalidError","ErrorMessage":"gone","Bytes":10}],"QueuePlace":{"Position":7,"PositionIsExact":true,"Priority":"high","Paused":false,"EstimatedSeconds":90},"Account":"press"},{"JobId":"j2","UploadURL":"http://h/b.mp4","Status":"PENDING","CreationTime":"2026-01-02T03:04:05Z"}],"NonExists":["j3"]}"#);
    assert_snapshot!(xml(&reply), @r#"<?xml version="1.0" encoding="UTF-8"?><GetURLUploadInfosResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><URLUploadInfoList><JobId>j1</JobId><UploadURL>http://h/a.mp4?x=1&amp;y=2</UploadURL><MediaId>m1</MediaId><Status>DOWNLOADING</Status><FileSize>64610</FileSize><CreationTime>2026-01-02T03:04:05Z</CreationTime><CompleteTime>2026-01-02T03:04:06Z</CompleteTime><ErrorCode>URLInvalidError</ErrorCode><ErrorMessage>gone</ErrorMessage><UserData>{}</UserData><Progress><BytesReceived>10</BytesReceived><BytesTotal>20</BytesTotal><Attempt>1</Attempt><Title>a.mp4</Title><NextAttemptTime>2026-01-02T03:05:05Z</NextAttemptTime><Deadline>2026-01-03T03:04:05Z</Deadline><Rescues>0</Rescues></Progress><Digests><Sha256>abababababababababababababababababababababababababababababababab</Sha256><Crc64>7</Crc64><Md5>cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd</Md5></Digests><Attempts><Number>1</Number><StartTime>2026-01-02T03:04:05Z</StartTime><EndTime>2026-01-02T03:04:06Z</EndTime><Ending>Failed</Ending><ErrorCode>URLInvalidError</ErrorCode><ErrorMessage>gone</ErrorMessage><Bytes>10</Bytes></Attempts><QueuePlace><Position>7</Position><PositionIsExact>true</PositionIsExact><Priority>high</Priority><Paused>false</Paused><EstimatedSeconds>90</EstimatedSeconds></QueuePlace><Account>press</Account></URLUploadInfoList><URLUploadInfoList><JobId>j2</JobId><UploadURL>http://h/b.mp4</UploadURL><Status>PENDING</Status><CreationTime>2026-01-02T03:04:05Z</CreationTime></URLUploadInfoList><NonExists>j3</NonExists></GetURLUploadInfosResponse>"#);
}

#[test]
fn play_info_has_strings_where_the_api_has_strings() {
    let reply = Reply::GetPlayInfo(play_info());
    assert_snapshot!(json(&reply), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","VideoBase":{"VideoId":"m1","Title":"A <b>","Duration":"9.0464","CoverURL":"http://h/c.jpg","Status":"Normal","CreationTime":"2026-01-02T03:04:05Z","MediaType":"video","StorageClass":"Standard"},"PlayInfoList":{"PlayInfo":[{"Width":1280,"Height":720,"Size":418112,"PlayURL":"http://h/media/1?e=1&s=2","Format":"mp4","Definition":"OD","Specification":"Original","Duration":"9.0464","Bitrate":"450.878","Fps":"25.0","Encrypt":0,"StreamType":"video","Status":"Normal","JobId":"j1","CreationTime":"2026-01-02T03:04:05Z","ModificationTime":"2026-01-02T03:04:06Z","NarrowBandType":"0","CodecName":"h264","Digests":{"Sha256":"abababababababababababababababababababababababababababababababab","Crc64":"18446744073709551615","Md5":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}]}}"#);
    assert_snapshot!(xml(&reply), @r#"<?xml version="1.0" encoding="UTF-8"?><GetPlayInfoResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><VideoBase><VideoId>m1</VideoId><Title>A &lt;b&gt;</Title><Duration>9.0464</Duration><CoverURL>http://h/c.jpg</CoverURL><Status>Normal</Status><CreationTime>2026-01-02T03:04:05Z</CreationTime><MediaType>video</MediaType><StorageClass>Standard</StorageClass></VideoBase><PlayInfoList><PlayInfo><Width>1280</Width><Height>720</Height><Size>418112</Size><PlayURL>http://h/media/1?e=1&amp;s=2</PlayURL><Format>mp4</Format><Definition>OD</Definition><Specification>Original</Specification><Duration>9.0464</Duration><Bitrate>450.878</Bitrate><Fps>25.0</Fps><Encrypt>0</Encrypt><StreamType>video</StreamType><Status>Normal</Status><JobId>j1</JobId><CreationTime>2026-01-02T03:04:05Z</CreationTime><ModificationTime>2026-01-02T03:04:06Z</ModificationTime><NarrowBandType>0</NarrowBandType><CodecName>h264</CodecName><Digests><Sha256>abababababababababababababababababababababababababababababababab</Sha256><Crc64>18446744073709551615</Crc64><Md5>cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd</Md5></Digests></PlayInfo></PlayInfoList></GetPlayInfoResponse>"#);
}

#[test]
fn a_page_of_jobs() {
    let reply = Reply::ListUrlUploadJobs(ListUrlUploadJobsReply {
        infos: Vec::new(),
        next_token: Some("t".to_owned()),
    });
    assert_snapshot!(json(&reply), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","URLUploadInfoList":[],"NextToken":"t"}"#);
    assert_snapshot!(xml(&reply), @r#"<?xml version="1.0" encoding="UTF-8"?><ListUrlUploadJobsResponse><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><NextToken>t</NextToken></ListUrlUploadJobsResponse>"#);
}

#[test]
fn an_error_has_the_same_five_fields_in_both_formats() {
    let fault = Fault::new(Code::ThrottlingUser).retry_after(20);
    let render = |format| {
        let body = render_fault(
            &fault,
            format,
            REQUEST_ID,
            "127.0.0.1:8710",
            "http://127.0.0.1:8710/errors/Throttling.User?requestId=R&product=vod",
        );
        String::from_utf8(body).expect("UTF-8")
    };
    assert_snapshot!(render(Format::Json), @r#"{"RequestId":"25818875-5F78-4D5C-8C3D-D73936420000","HostId":"127.0.0.1:8710","Code":"Throttling.User","Message":"Request was denied due to user flow control.","Recommend":"http://127.0.0.1:8710/errors/Throttling.User?requestId=R&product=vod"}"#);
    assert_snapshot!(render(Format::Xml), @r#"<?xml version="1.0" encoding="UTF-8"?><Error><RequestId>25818875-5F78-4D5C-8C3D-D73936420000</RequestId><HostId>127.0.0.1:8710</HostId><Code>Throttling.User</Code><Message>Request was denied due to user flow control.</Message><Recommend>http://127.0.0.1:8710/errors/Throttling.User?requestId=R&amp;product=vod</Recommend></Error>"#);
    assert_eq!(Format::Json.content_type(), "application/json;charset=utf-8");
    // Exactly this string: the new SDKs recognise no other (§7.1).
    assert_eq!(Format::Xml.content_type(), "text/xml;charset=utf-8");
}

#[test]
fn measurements_that_are_no_numbers_are_left_out() {
    let mut play = play_info();
    play.video_base.duration = Some(f64::NAN);
    play.play_info[0].fps = Some(f64::INFINITY);
    play.play_info[0].bitrate = Some(0.1 + 0.2);
    play.play_info[0].duration = Some(1e9);
    let text = json(&Reply::GetPlayInfo(play));
    assert!(!text.contains("Fps") && !text.contains("NaN") && !text.contains("inf"));
    assert!(text.contains(r#""Bitrate":"0.3","#) && text.contains(r#""Duration":"1000000000.0","#));
}

#[test]
fn the_other_kinds_of_node_are_written_too() {
    let node = Node::Object(vec![
        ("B", Node::Bool(true)),
        ("F", Node::Float(1.5)),
        ("N", Node::Float(f64::NAN)),
        ("L", Node::Flat(vec![Node::Int(-1), Node::Int(2)])),
    ]);
    assert_eq!(node.to_json(), br#"{"B":true,"F":1.5,"N":null,"L":[-1,2]}"#);
    assert_eq!(
        node.to_xml("R"),
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><R><B>true</B><F>1.5</F><N></N><L>-1</L>\
          <L>2</L></R>"
    );
}
