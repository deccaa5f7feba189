/*
 * docs_vi.ts - the texts of /docs in Vietnamese.
 */
import type { docsEn } from './docs_en.ts'

export const docsVi: Readonly<Record<keyof typeof docsEn, string>> = {
  'title': 'Tài liệu',
  'lead': 'Mọi thứ ở đây là HTTP thường với JSON (hoặc MessagePack). Một tiêu đề cho biết bạn là ai.',
  'contents': 'Trong trang này',
  'api': 'Mọi đường dẫn, để đọc và dùng thử',
  'openapi': 'Mô tả OpenAPI 3.1',

  'auth': 'Gửi khóa của bạn',
  'auth.words': 'Đặt khóa vào tiêu đề Authorization của mỗi yêu cầu. X-API-Key cũng dùng được; chỉ gửi một trong hai.',
  'auth.example': 'Hôm nay đã dùng bao nhiêu',
  'auth.keep': 'Khóa chỉ hiện một lần khi được tạo. Đừng để nó trong địa chỉ hay nhật ký; nếu bị lộ, hãy thay hoặc thu hồi trong phần cài đặt: khóa cũ ngừng ngay, ở mọi nơi.',
  'demo': 'Khóa dùng thử',
  'demo.words': 'Máy chủ này có dữ liệu mẫu. Các khóa này là công khai; hãy dùng chúng để xem thử.',
  'demo.plan': 'Gói',
  'demo.key': 'Khóa',
  'demo.copy': 'Sao chép khóa dùng thử của gói {plan}',

  'doors': 'Ba cánh cửa',
  'doors.words': 'Hỏi trước khi làm, hoặc báo lại sau khi làm. Mỗi câu trả lời cho biết đã tính bao nhiêu và còn lại bao nhiêu.',
  'doors.gate': 'Cho reverse proxy: 200 cho qua và tính tín dụng, 401, 403 hoặc 429 từ chối.',
  'doors.verify': 'Cho dịch vụ: quyết định, giới hạn và chủ khóa trong một câu trả lời.',
  'doors.record': 'Sau khi làm: mô hình, token và tín dụng, để tính chi phí trong bảng điều khiển.',

  'limits': 'Giới hạn',
  'limits.words': 'Một khóa bị giới hạn bởi tốc độ và tổng lượng trong ngày. Cả hai đều chính xác trên mọi tiến trình của máy chủ.',
  'limits.name': 'Giới hạn',
  'limits.usual': 'Giá trị thông thường',
  'limits.counted': 'Đếm theo',
  'limits.key': 'Yêu cầu với khóa hợp lệ',
  'limits.key.value': '100 trong 60 giây, khung trượt',
  'limits.key.by': 'khóa; mỗi khóa có thể có giới hạn riêng',
  'limits.address': 'Yêu cầu không có khóa hợp lệ',
  'limits.address.value': '20 trong 60 giây, khung trượt',
  'limits.address.by': 'địa chỉ của máy khách',
  'limits.credits': 'Tín dụng',
  'limits.credits.value': 'theo gói, mỗi ngày (UTC)',
  'limits.credits.by': 'tài khoản, mọi khóa cộng lại',
  'limits.headers': 'Mỗi câu trả lời có giới hạn cho biết bạn đang ở đâu: X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset (giây Unix). Mã 429 có Retry-After tính bằng giây. Xem bảng điều khiển không tốn tín dụng.',

  'errors': 'Lỗi',
  'errors.words': 'Mọi lỗi có cùng một dạng. Hãy rẽ nhánh theo code, cho người dùng xem message và giữ X-Request-Id: phần cài đặt giải thích một lần từ chối bằng mã đó.',
  'errors.code': 'Mã',
  'errors.status': 'HTTP',
  'errors.when': 'Khi nào',
  'error.bad_request': 'Nội dung sai dạng; tham số bị thiếu hoặc ngoài khoảng',
  'error.unauthorized': 'Không có khóa, hoặc khóa lạ, đã thu hồi hay hết hạn',
  'error.forbidden': 'Tài khoản bị tạm khóa, thiếu quyền, địa chỉ không được phép, hoặc cần quyền quản trị',
  'error.not_found': 'Đường dẫn hoặc đối tượng không tồn tại',
  'error.method_not_allowed': 'Đường dẫn có phương thức khác: xem Allow',
  'error.conflict': 'Đã tồn tại, hoặc đã bị thay đổi trong lúc đó',
  'error.key_limit_reached': 'Quá nhiều khóa hoạt động: hãy thu hồi một khóa',
  'error.payload_too_large': 'Nội dung quá lớn',
  'error.unsupported_media_type': 'Hãy gửi application/json hoặc application/msgpack',
  'error.rate_limited': 'Quá nhanh: chờ số giây trong Retry-After',
  'error.quota_exceeded': 'Hết tín dụng trong ngày: Retry-After là thời gian đến 00:00 UTC',
  'error.internal_error': 'Lỗi của máy chủ; hãy báo mã yêu cầu cho nhà vận hành',
  'error.service_unavailable': 'Cần cơ sở dữ liệu nhưng đang vắng mặt, hoặc máy chủ đang dừng: hãy thử lại'
}
